"""Speed-ups over plain decoding with their error bars, and which draft length could be the best."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.analysis.statistics import CONFIDENCE
from harness.prediction.lengths import Lengths
from harness.prediction.steps import Machine, step_bytes, step_times
from harness.theory.ceiling import Reads

RARELY = (1 - CONFIDENCE) / 2
"""Share of the draws below which a length does not count as one that could be best."""


@dataclass(frozen=True)
class Range:
    """What to expect, and the ends of what would not surprise; low <= middle <= high."""

    low: float
    middle: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def apart(self, other: Range) -> bool:
        """Whether the two have no value in common."""
        return self.high < other.low or other.high < self.low

    def inverse(self) -> Range:
        return Range(1 / self.high, 1 / self.middle, 1 / self.low)


def product(*factors: Range) -> Range:
    """Of factors above 0 that know nothing of each other: their reaches, as ratios, add up as the
    sides of a right angle do, since all are seldom at their worst at once."""
    middle = math.prod(one.middle for one in factors)
    below = math.hypot(*(math.log(one.middle / one.low) for one in factors))
    above = math.hypot(*(math.log(one.high / one.middle) for one in factors))
    return Range(middle * math.exp(-below), middle, middle * math.exp(above))


@dataclass(frozen=True)
class Lengthwise:
    """One draft length."""

    draft_tokens: int
    tau: Range
    drafted: float
    """Tokens drafted a step."""
    bytes_per_step: float
    step: Range
    """Plain steps that a step takes."""
    speedup: Range
    """Decode rate over plain's."""


@dataclass(frozen=True)
class Speedups:
    """All draft lengths of a family."""

    lengths: tuple[Lengthwise, ...]
    best: int
    """By the middle of the speed-ups; 0: plain."""
    could_be_best: tuple[int, int]
    """Shortest and longest; 0: plain."""


def speedups(machine: Machine, reads: Reads, lengths: Lengths, disagreement: float) -> Speedups:
    """Speed-up = tau / plain steps of a step, for each draft length.

    `disagreement`: by which factor, less one, predicted taus were off where they could be held
    against measured ones; it widens those of all lengths but the longest, which was measured.
    """
    import numpy as np  # noqa: PLC0415

    longest = len(lengths.taus)
    times = step_times(machine, reads, lengths.drafted)
    low_tau = np.minimum(np.quantile(lengths.draws, RARELY, axis=0), lengths.taus)
    high_tau = np.maximum(np.quantile(lengths.draws, 1 - RARELY, axis=0), lengths.taus)
    found = []
    for index, tau in enumerate(lengths.taus):
        k = index + 1
        off = 1 + (disagreement if k < longest else 0)
        taus = Range(
            max(1.0, float(low_tau[index]) / off), tau, min(k + 1.0, float(high_tau[index]) * off)
        )
        ends = [line[index] for line in times]
        step = Range(min(ends), math.sqrt(min(ends) * max(ends)), max(ends))
        found.append(
            Lengthwise(
                draft_tokens=k,
                tau=taus,
                drafted=lengths.drafted[index],
                bytes_per_step=step_bytes(reads, lengths.drafted[index]),
                step=step,
                speedup=product(taus, step.inverse()),
            )
        )
    gains = [1.0, *(one.speedup.middle for one in found)]
    best = gains.index(max(gains))
    return Speedups(tuple(found), best, _could_be_best(lengths, times, disagreement, best))


def _could_be_best(
    lengths: Lengths, times: list[list[float]], disagreement: float, best: int
) -> tuple[int, int]:
    """Every line of costs against every draw of taus; a length counts that wins often enough
    in one of them."""
    import numpy as np  # noqa: PLC0415

    longest = len(lengths.taus)
    most = np.arange(2, longest + 2)
    could = {best}
    for line in times:
        for off in {1.0, 1 + disagreement, 1 / (1 + disagreement)}:
            taus = lengths.draws.copy()
            taus[:, :-1] = np.clip(taus[:, :-1] * off, 1, most[:-1])
            gains = np.column_stack([np.ones(len(taus)), taus / np.asarray(line)])
            wins = np.bincount(gains.argmax(axis=1), minlength=longest + 1) / len(taus)
            could |= {int(k) for k in np.flatnonzero(wins >= RARELY)}
    return min(could), max(could)
