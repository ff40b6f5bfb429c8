"""The core of the gate: pure numbers in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis.effect import Effect, Values, effect
from harness.analysis.power import rounds_needed, smallest_change
from harness.analysis.statistics import Interval

THRESHOLD = 0.05
"""The loss that is put up with, as a share of the baseline, where nothing else is said."""

ERROR_RATE = 0.01
"""How often a night may be called regressed although no trial's decode rate lost more than the
threshold.

One side, all trials together: with two trials each has a half of it, since every further trial is
a further chance to be unlucky (Bonferroni; it holds although they share the luck of their
launches). One night in a hundred: a gate that runs each night then cries wolf about three times a
year at the very worst, which is when every night is slower by all that the threshold allows. Where
nothing has changed it is far less often (docs/gate.md has the table). The figures beside the decode
rate have the same rate once more, all of them together.
"""

LARGEST = 1_000
"""The factor of a change beyond which nobody asks whether it would be seen."""

ROUNDING = 1e-9
"""Equal figures give ratios that are this near to 1, and not always 1 itself."""


class Decision(StrEnum):
    REGRESSED = "regressed"
    """The whole interval lies beyond the threshold."""
    PASSED = "passed"
    """No part of the interval does."""
    INCONCLUSIVE = "inconclusive"
    """The threshold lies within the interval, or there is none."""


class Change(StrEnum):
    """Which way a figure has gone beyond doubt, be it by less than the threshold."""

    BETTER = "better"
    WORSE = "worse"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Judgement:
    """What is decided of one figure of one trial."""

    decision: Decision
    change: Change
    interval: Interval | None
    """Of the ratio candidate / baseline, two-sided, with the error rate on each side; a figure that
    is the same in all rounds has no width. None without enough rounds."""


@dataclass(frozen=True)
class Sight:
    """What could have been seen with the rounds that there were."""

    smallest: float | None
    """The smallest change for the worse, as a share of the baseline, that would have been called
    regressed 95% of the time; None where too few rounds tell how much they differ, or nothing
    below a factor of `LARGEST` would be seen."""
    rounds: int | None
    """Rounds that would find a change of twice the threshold, and pass where nothing has changed,
    95% of the time; None where nobody knows or would measure so long."""


UNSEEN = Sight(None, None)


def decide(
    found: Effect | None, threshold: float, error_rate: float, *, higher_is_worse: bool = False
) -> Judgement:
    """Judge one effect; `error_rate` is its own share, on one side.

    `threshold` 0.05 allows a rate 0.95 times the baseline's, and a latency 1.05 times.
    """
    interval = None if found is None else found.interval(1 - 2 * error_rate)
    if interval is None:
        return Judgement(Decision.INCONCLUSIVE, Change.UNPROVEN, None)
    if higher_is_worse:
        regressed = interval.low > 1 + threshold
        passed = interval.high <= 1 + threshold
    else:
        regressed = interval.high < 1 - threshold
        passed = interval.low >= 1 - threshold
    above, below = interval.low > 1 + ROUNDING, interval.high < 1 - ROUNDING
    better, worse = (below, above) if higher_is_worse else (above, below)
    return Judgement(
        Decision.REGRESSED if regressed else Decision.PASSED if passed else Decision.INCONCLUSIVE,
        Change.BETTER if better else Change.WORSE if worse else Change.UNPROVEN,
        interval,
    )


def sight(
    found: Effect | None, threshold: float, error_rate: float, *, higher_is_worse: bool = False
) -> Sight:
    """What `decide` could have seen of a figure, and how long it would take to see enough."""
    if found is None:
        return UNSEEN
    # A latency that may grow by a factor of 1 + t is a rate that may fall by one of 1 / (1 + t).
    allowed = threshold / (1 + threshold) if higher_is_worse else threshold
    loss = smallest_change(found, allowed, error_rate)
    if loss is None or loss > 1 - 1 / LARGEST:
        smallest = None
    else:
        smallest = 1 / (1 - loss) - 1 if higher_is_worse else loss
    return Sight(smallest, rounds_needed(found, allowed, error_rate))


def share(trials: int) -> float:
    """The error rate of each of so many trials that are judged together."""
    return ERROR_RATE / max(1, trials)


def overall(decode_rates: Iterable[Decision], others: Iterable[Decision] = ()) -> Decision:
    """Any regression regresses the whole; beside that, only decode rates have to be conclusive."""
    rates = list(decode_rates)
    if Decision.REGRESSED in rates or Decision.REGRESSED in others:
        return Decision.REGRESSED
    if not rates or Decision.INCONCLUSIVE in rates:
        return Decision.INCONCLUSIVE
    return Decision.PASSED


def decide_night(
    trials: Sequence[tuple[Values, Values]], *, paired: bool, threshold: float
) -> Decision:
    """Decide on decode rates alone: (baseline, candidate) of each trial, tokens per second."""
    rate = share(len(trials))
    return overall(
        decide(effect(baseline, candidate, paired=paired), threshold, rate).decision
        for baseline, candidate in trials
    )


def why_inconclusive(found: Effect | None) -> str | None:
    """Why an effect without an interval has none, in words."""
    return "no prompt was measured on both sides" if found is None else found.lack
