"""Whether the rounds of a run suffice for the gate to see what it is to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.effect import effect
from harness.compare.errors import CompareError
from harness.compare.matching import match
from harness.compare.measures import Measure, both
from harness.compare.side import read_sides
from harness.gate.decide import share, sight


@dataclass(frozen=True)
class Need:
    """The rounds that the gate needs for the decode rate of one trial."""

    trial: str
    rounds: int
    """That were measured on both sides."""
    needed: int | None
    """None: not known yet, or more than anybody measures."""

    @property
    def is_met(self) -> bool:
        return self.needed is not None and self.needed <= self.rounds


def greatest_need(folder: Path, threshold: float, broken: Collection[str] = ()) -> Need | None:
    """The trial that needs the most rounds, of those that lack some first, in the run in `folder`,
    which has a baseline and a candidate; None where no trial has decode rates on both sides.

    `broken` are arms that do not start, of which no further round tells more.

    Raises:
        RunFolderError: no run, or a damaged one.
    """
    try:
        matches = match(*read_sides(str(folder), None)).matches
    except CompareError:
        return None
    needs = []
    for one in matches:
        found = effect(*both(one, Measure.RATE), paired=True)
        if found is not None and not {one.baseline.arm.id, one.candidate.arm.id} & set(broken):
            rounds = sight(found, threshold, share(len(matches))).rounds
            needs.append(Need(one.name, found.rounds, rounds))
    # A trial that lost rounds may lack more of them than the one that needs the most.
    return max(
        needs,
        key=lambda one: (not one.is_met, float("inf") if one.needed is None else one.needed),
        default=None,
    )
