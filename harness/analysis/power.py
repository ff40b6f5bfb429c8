"""What a comparison could have seen: the smallest change, and the rounds that a change would take.

`margin` is the size of a logarithm of a ratio: 5% slower is -ln(0.95). Student's t stands for the
noise of the estimate itself too, which is a little more careful than the non-central t and needs
no tables (Julious 2004, Statistics in Medicine 23:1921, for the same approximation).
"""

from __future__ import annotations

import bisect
import math

from harness.analysis.effect import Effect, kept, quantile
from harness.analysis.statistics import LEAST_ROUNDS

POWER = 0.95
"""How often a change as large as the one that is named would be called so."""

MOST_ROUNDS = 10_000
"""More than anybody measures: beyond it the answer is None."""


def reach(effect: Effect, error_rate: float) -> float | None:
    """How far from the threshold, as a logarithm, a true change must be to be called `POWER` of
    the time, when a wrong call may come with `error_rate` on that side."""
    if effect.error is None:
        return None
    return _quantiles(error_rate, effect.freedom) * effect.error


def smallest_change(effect: Effect, threshold: float, error_rate: float) -> float | None:
    """The smallest loss, as a share of the baseline, that would have been called a loss of more
    than `threshold`; None where the error is not known."""
    beyond = reach(effect, error_rate)
    return None if beyond is None else 1 - (1 - threshold) * math.exp(-beyond)


def rounds_needed(effect: Effect, threshold: float, error_rate: float) -> int | None:
    """Rounds from which no change passes, and a loss of twice the threshold is found, by `POWER`.

    Rounds as noisy as those measured are assumed. None where their noise is not known, or so large
    that nobody would measure so long.
    """
    if effect.error is None:
        return None
    margin = -math.log1p(-threshold)
    spread = effect.error * math.sqrt(effect.worth or effect.rounds)
    # Of two runs, each has its own rounds: twice the degrees of freedom, at most.
    sides = 1 if effect.paired else 2

    def suffices(rounds: int) -> bool:
        freedom = sides * (kept(rounds) - 1)
        beyond = _quantiles(error_rate, freedom) * spread / math.sqrt(rounds)
        return beyond <= margin

    candidates = range(LEAST_ROUNDS, MOST_ROUNDS + 1)
    at = bisect.bisect_left(candidates, True, key=suffices)
    return candidates[at] if at < len(candidates) else None


def _quantiles(error_rate: float, freedom: float) -> float:
    return quantile(1 - error_rate, freedom) + quantile(POWER, freedom)
