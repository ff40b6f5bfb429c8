"""The samples that a figure of a trial is made of: those that no doubt spoils for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from harness.analysis.doubt.mark import Figure, Mark
from harness.measured import SampleKind
from harness.records import SampleKey

MOST_LEFT_OUT = 0.5
"""Share of a trial's samples. Where more would fall out, the rest is chance's choice, and the
doubt is about the trial: its figure is made of all, and called doubtful."""


@dataclass(frozen=True)
class Sound(Generic[SampleKind]):
    """What one figure of one trial is made of."""

    samples: tuple[SampleKind, ...]
    spoiled: tuple[SampleKind, ...]
    """Left out, unless it is doubtful."""
    doubtful: bool
    """More than half are spoiled, so that all were kept."""


def sound(
    samples: Sequence[SampleKind], marks: Mapping[SampleKey, Sequence[Mark]], *figures: Figure
) -> Sound[SampleKind]:
    """`samples`: those of one trial that succeeded; one without marks may be missing in `marks`.
    `figures`: what is made of them; of several together, each has to be sound."""
    if not marks:
        return Sound(tuple(samples), (), doubtful=False)
    kept: list[SampleKind] = []
    spoiled: list[SampleKind] = []
    for sample in samples:
        found = marks.get(sample.key)
        doubted = found and any(not mark.spoils.isdisjoint(figures) for mark in found)
        (spoiled if doubted else kept).append(sample)
    if len(spoiled) > MOST_LEFT_OUT * len(samples):
        return Sound(tuple(samples), tuple(spoiled), doubtful=True)
    return Sound(tuple(kept), tuple(spoiled), doubtful=False)
