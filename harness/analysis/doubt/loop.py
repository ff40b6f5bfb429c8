"""The answer ends by repeating itself, which is easy to draft."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.analysis.loops import find_loop
from harness.records import Arm, Sample

MARK = Mark(
    "loop",
    "the answer ends in a loop, which is easier to draft than other text",
    frozenset({Figure.RATE, Figure.ACCEPTANCE}),
    "Use prompts that the model answers without repeating itself, or shorter answers.",
)
"""It spoils plain decoding's rate too: both rows of a comparison are to be made of the same
prompts."""


def loops(sample: Sample, arm: Arm) -> bool:
    """False of drafts that are accepted by draw: their text is void, and nobody drafted it."""
    return arm.synthetic is None and find_loop(sample) is not None
