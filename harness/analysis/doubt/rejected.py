"""Nothing of many drafts was accepted, although a model made them."""

from __future__ import annotations

from harness.analysis.doubt.mark import Mark
from harness.records import Arm, Sample
from runners.base.speculation import parts_of

MARK = Mark(
    "rejected",
    "not one drafted token was accepted",
    frozenset(),
    "Check that the drafter belongs to this model, its vocabulary and its quantisation.",
)
"""It spoils nothing: slow samples that fall out for their outcome would flatter the rest."""

LEAST_DRAFTED = 32
"""Tokens. A drafter whose tokens are accepted one time in ten, which no one would keep, has as
many rejected in 3 of 100 samples."""


def all_rejected(sample: Sample, arm: Arm) -> bool:
    """False of lookups, which find what they find, and of drafts that are accepted by draw."""
    if arm.synthetic is not None or sample.drafted is None or sample.accepted != 0:
        return False
    by_model = any(not part.startswith("ngram") for part in parts_of(arm.method))
    return by_model and sample.drafted >= LEAST_DRAFTED
