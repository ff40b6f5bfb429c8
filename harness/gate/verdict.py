"""What a gate says: a row for each figure of each trial, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis.statistics import Interval
from harness.compare.matching import Difference
from harness.gate.decide import UNSEEN, Change, Decision, Sight


class Figure(StrEnum):
    """In the order in which a trial's rows are told."""

    DECODE_RATE = "decode rate"
    TTFT = "TTFT"
    ACCEPTANCE_RATE = "acceptance rate"
    ACCEPTANCE_LENGTH = "acceptance length"
    PEAK_MEMORY = "peak memory"
    LOSSLESS = "lossless"
    ANSWERS = "answers"
    """Their length."""
    REQUESTS = "requests"
    """Those that failed."""


@dataclass(frozen=True)
class Row:
    """One figure of one trial. None: not there to be had."""

    trial: str
    figure: Figure
    decision: Decision
    """INCONCLUSIVE of anything but a decode rate does not make the gate so."""
    change: Change = Change.UNPROVEN
    baseline: float | None = None
    """Geometric mean of what was compared: tokens per second, seconds, a share, tokens a step,
    bytes."""
    candidate: float | None = None
    ratio: float | None = None
    """candidate / baseline, over prompts and rounds that both have."""
    interval: Interval | None = None
    """Of the ratio; each of its ends is wrong as often as the row's share of the error rate."""
    rounds: int | None = None
    """Of the side that has fewer."""
    left_out: int = 0
    """Doubtful samples of both sides that this figure is not made of."""
    sight: Sight = UNSEEN
    reason: str | None = None
    """What decides where no interval does, or what is to be known beside it."""

    @property
    def required(self) -> bool:
        """Without it the gate is inconclusive."""
        return self.figure is Figure.DECODE_RATE


@dataclass(frozen=True)
class Gate:
    """The outcome: `decision` decides the exit status."""

    decision: Decision
    baseline: str
    candidate: str
    threshold: float
    error_rate: float
    paired: bool
    """Both sides were measured in turns, in one run."""
    smallest: float | None
    """The smallest loss of decode rate, as a share, that would have been called regressed 95% of
    the time in any trial; None where some trial has too few rounds to tell."""
    rounds: int | None
    """Rounds that the noisiest decode rate takes to be told from a loss of the threshold."""
    command: str
    """What measures so many."""
    differences: tuple[Difference, ...]
    unmatched: tuple[str, ...]
    """Trials that one side lacks, in words."""
    remarks: tuple[str, ...]
    rows: tuple[Row, ...]

    def of(self, decision: Decision) -> tuple[Row, ...]:
        """The rows that came out so."""
        return tuple(row for row in self.rows if row.decision is decision)

    @property
    def improved(self) -> tuple[Row, ...]:
        """Those that are better beyond doubt."""
        return tuple(row for row in self.rows if row.change is Change.BETTER)


_SEVERITY = (Decision.REGRESSED, Decision.INCONCLUSIVE, Decision.PASSED)


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Regressions, then decode rates that are inconclusive, then what else cannot be told, then
    what is better, then the rest; else as they are."""
    return sorted(
        rows,
        key=lambda row: (
            _SEVERITY.index(row.decision),
            not row.required and row.decision is Decision.INCONCLUSIVE,
            row.change is not Change.BETTER,
        ),
    )
