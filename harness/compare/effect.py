"""How much one figure of two trials differs: a ratio, and how far the rounds let it be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.statistics import LEAST_ROUNDS, Interval

Values = Mapping[int, Mapping[str, float]]
"""Round -> prompt -> a value above 0."""


@dataclass(frozen=True)
class Effect:
    """The candidate's figure divided by the baseline's: 1 is no difference."""

    ratio: float
    """Geometric mean over prompts and rounds."""
    error: float | None
    """Standard error of its logarithm; None below `LEAST_ROUNDS` rounds."""
    freedom: float
    """Degrees of freedom of that error."""
    rounds: int
    """Of the side that has fewer."""
    pairs: int
    """Values of the candidate that something of the baseline stands against."""
    paired: bool
    """Round by round, of one run; else of two runs, whose rounds have nothing in common."""

    def interval(self, confidence: float) -> Interval | None:
        """Two-sided, by Student's t over the rounds; None where there are too few of them."""
        if self.error is None:
            return None
        reach = quantile((1 + confidence) / 2, self.freedom) * self.error
        centre = math.log(self.ratio)
        # The way through the logarithm rounds: an end may fall beside the ratio itself.
        return Interval(
            min(self.ratio, math.exp(centre - reach)), max(self.ratio, math.exp(centre + reach))
        )


def effect(baseline: Values, candidate: Values, *, paired: bool) -> Effect | None:
    """Hold the candidate's values against the baseline's; None where no prompt is in both.

    The prompts are fixed, the rounds are drawn: it says what a further round over these prompts
    would give, and nothing of other prompts. So all values of a round count as one, because they
    share the luck of their launch.

    `paired`: the rounds of both were measured beside each other, so that each value has its own
    counterpart, and what both shared falls out. Else each side's rounds differ on their own, and
    the interval is Welch's (1947, Biometrika 34:28): it knows how rounds of one run differ, and
    not how two runs do.
    """
    return _paired(baseline, candidate) if paired else _apart(baseline, candidate)


def quantile(probability: float, freedom: float) -> float:
    """Of Student's t."""
    from scipy import special  # noqa: PLC0415

    return float(special.stdtrit(freedom, probability))


def _paired(baseline: Values, candidate: Values) -> Effect | None:
    logs: list[list[float]] = []
    for number in sorted(baseline.keys() & candidate.keys()):
        before, after = baseline[number], candidate[number]
        shared = [math.log(after[p] / before[p]) for p in before if p in after]
        if shared:
            logs.append(shared)
    if not logs:
        return None
    centre = fmean(x for one in logs for x in one)
    return Effect(
        ratio=math.exp(centre),
        error=_clustered_error(logs, centre),
        freedom=len(logs) - 1,
        rounds=len(logs),
        pairs=sum(map(len, logs)),
        paired=True,
    )


def _apart(baseline: Values, candidate: Values) -> Effect | None:
    before, after = _by_prompt(baseline), _by_prompt(candidate)
    shared = before.keys() & after.keys()
    if not shared:
        return None
    centre = fmean(fmean(after[p]) - fmean(before[p]) for p in shared)
    sides = [
        _residuals(values, {p: fmean(of[p]) for p in shared})
        for values, of in ((baseline, before), (candidate, after))
    ]
    errors = [_clustered_error(side, 0.0) for side in sides]
    error, freedom = None, 0.0
    if errors[0] is not None and errors[1] is not None:
        variances = [one * one for one in errors if one is not None]
        error = math.sqrt(sum(variances))
        spread = sum(v * v / (len(s) - 1) for v, s in zip(variances, sides, strict=True))
        # Equal values on both sides have no error to share: as if all rounds were one sample.
        freedom = error**4 / spread if spread else float(sum(map(len, sides)) - 2)
    return Effect(
        ratio=math.exp(centre),
        error=error,
        freedom=freedom,
        rounds=min(map(len, sides)),
        pairs=sum(map(len, sides[1])),
        paired=False,
    )


def _by_prompt(values: Values) -> dict[str, list[float]]:
    """Prompt -> logarithms of its values over all rounds."""
    found: dict[str, list[float]] = {}
    for one in values.values():
        for prompt, value in one.items():
            found.setdefault(prompt, []).append(math.log(value))
    return found


def _residuals(values: Values, means: Mapping[str, float]) -> list[list[float]]:
    """By round: how far the logarithms are from their prompt's mean, so that a round that lacks a
    hard prompt is not taken for a fast one."""
    rounds = [
        [math.log(value) - means[prompt] for prompt, value in one.items() if prompt in means]
        for _, one in sorted(values.items())
    ]
    return [one for one in rounds if one]


def _clustered_error(rounds: list[list[float]], centre: float) -> float | None:
    """Standard error of the mean of all values, where those of a round share their luck.

    Cluster-robust (Liang and Zeger 1986, Biometrika 73:1); of equally many values in each round
    it is the standard error of the rounds' means.
    """
    count = len(rounds)
    if count < LEAST_ROUNDS:
        return None
    sums = [sum(x - centre for x in one) for one in rounds]
    return math.sqrt(count / (count - 1) * sum(x * x for x in sums)) / sum(map(len, rounds))
