"""How much one figure of two trials differs: a ratio, and how far the rounds let it be trusted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.statistics import LEAST_ROUNDS, Interval

Values = Mapping[int, Mapping[str, float]]
"""Round -> prompt -> a value above 0."""

TRIMMED = 0.1
"""Share of the rounds that is set aside at either end, rounded down: from ten rounds on, one.

A neighbour on the same machine spoils a few rounds wholly. Over noise as `benchmarks.nights` draws
it, a mean without them needs half as many rounds for the same interval."""


MOST_UNEVEN = 200
"""Rounds up to which it is reckoned what missing prompts hide; of more, each prompt is in so many
that it hides nothing to speak of."""

LEAST_LEFT = 1e-6
"""Of the luck of a round: less is rounding."""

FARTHEST = 300.0
"""Logarithm: what reaches farther says nothing, and would be no number."""


@dataclass(frozen=True)
class Effect:
    """The candidate's figure divided by the baseline's: 1 is no difference."""

    ratio: float
    """Geometric mean over prompts, and over the rounds but for those at the ends."""
    error: float | None
    """Standard error of its logarithm; None below `LEAST_ROUNDS` rounds, or where hardly two of
    them have a prompt in common."""
    freedom: float
    """Degrees of freedom of that error."""
    rounds: int
    """Of the side that has fewer."""
    pairs: int
    """Values of the candidate that something of the baseline stands against."""
    paired: bool
    """Round by round, of one run; else of two runs, whose rounds have nothing in common."""
    worth: float | None = None
    """So many rounds of each side would have the same error; None: `rounds`, which both have."""

    @property
    def lack(self) -> str | None:
        """Why it has no interval, in words; None where it has one."""
        if self.error is not None:
            return None
        if self.rounds >= LEAST_ROUNDS:
            return "hardly two rounds have a prompt in common"
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        return f"{rounds} measured on both sides, and {LEAST_ROUNDS} are needed"

    def interval(self, confidence: float) -> Interval | None:
        """Two-sided, by Student's t over the rounds; None where there are too few of them."""
        if self.error is None:
            return None
        reach = min(quantile((1 + confidence) / 2, self.freedom) * self.error, FARTHEST)
        centre = math.log(self.ratio)
        # The way through the logarithm rounds: an end may fall beside the ratio itself.
        return Interval(
            min(self.ratio, math.exp(centre - reach)), max(self.ratio, math.exp(centre + reach))
        )


def effect(baseline: Values, candidate: Values, *, paired: bool) -> Effect | None:
    """Hold the candidate's values against the baseline's; None where no prompt is in both.

    The prompts are fixed, the rounds are drawn: it says what further rounds over these prompts
    would give, and nothing of other prompts. All values of a round count as one, because they
    share the luck of their launch.

    `paired`: the rounds of both were measured beside each other, so that each value has its own
    counterpart, and what both shared falls out. Else each side's rounds differ on their own: the
    interval knows how rounds of one run differ, and not how two runs do.

    Means are trimmed by `TRIMMED` and have Yuen's interval (1974, Biometrika 61:165), of two runs
    with Welch's degrees of freedom; with fewer than ten rounds that is Student's t of the rounds'
    means, and Welch's.
    """
    if not paired:
        return _apart(baseline, candidate)
    ratios = {
        number: {p: candidate[number][p] / value for p, value in one.items() if p in other}
        for number, one in baseline.items()
        if (other := candidate.get(number)) is not None
    }
    logs = _logarithms(ratios)
    means = _means(logs)
    if not means:
        return None
    found = _trimmed(_rounds(logs, means), _shares(ratios, means))
    return Effect(
        ratio=math.exp(found.value),
        error=None if found.variance is None else math.sqrt(found.variance),
        freedom=found.freedom,
        rounds=found.rounds,
        pairs=sum(map(len, ratios.values())),
        paired=True,
    )


def mean_logarithms(values: Values) -> dict[str, float]:
    """Prompt -> mean of the logarithms of its values over all rounds."""
    return _means(_logarithms(values))


def round_logarithms(baseline: Values, candidate: Values) -> list[float]:
    """Logarithm of each round's ratio: its mean over the prompts that both sides have there."""
    found = []
    for number in sorted(baseline.keys() & candidate.keys()):
        before, after = baseline[number], candidate[number]
        logs = [math.log(after[prompt] / before[prompt]) for prompt in before if prompt in after]
        if logs:
            found.append(fmean(logs))
    return found


def kept(rounds: int) -> int:
    """Rounds that a trimmed mean is made of."""
    return rounds - 2 * int(TRIMMED * rounds)


def quantile(probability: float, freedom: float) -> float:
    """Of Student's t."""
    from scipy import special  # noqa: PLC0415

    return float(special.stdtrit(freedom, probability))


def _apart(baseline: Values, candidate: Values) -> Effect | None:
    logs, other_logs = _logarithms(baseline), _logarithms(candidate)
    before, after = _means(logs), _means(other_logs)
    shared = before.keys() & after.keys()
    if not shared:
        return None
    one = _trimmed(
        _rounds(logs, {prompt: before[prompt] for prompt in shared}), _shares(baseline, shared)
    )
    other = _trimmed(
        _rounds(other_logs, {prompt: after[prompt] for prompt in shared}),
        _shares(candidate, shared),
    )
    error, freedom = None, 0.0
    if one.variance is not None and other.variance is not None:
        variance = one.variance + other.variance
        error = math.sqrt(variance)
        spread = one.variance**2 / one.freedom + other.variance**2 / other.freedom
        # Rounds that are all alike have no error to share.
        freedom = variance**2 / spread if spread else one.freedom + other.freedom
    return Effect(
        ratio=math.exp(other.value - one.value),
        error=error,
        freedom=freedom,
        rounds=min(one.rounds, other.rounds),
        pairs=sum(prompt in shared for values in candidate.values() for prompt in values),
        paired=False,
        # Each side adds the variance of a round over its rounds: the harmonic mean.
        worth=2 / (1 / one.rounds + 1 / other.rounds),
    )


def _logarithms(values: Values) -> Values:
    return {
        number: {prompt: math.log(value) for prompt, value in one.items()}
        for number, one in values.items()
    }


def _means(logs: Values) -> dict[str, float]:
    """Prompt -> mean of its logarithms over all rounds."""
    found: dict[str, list[float]] = {}
    for one in logs.values():
        for prompt, log in one.items():
            found.setdefault(prompt, []).append(log)
    return {prompt: fmean(of) for prompt, of in found.items()}


def _rounds(logs: Values, means: Mapping[str, float]) -> list[float]:
    """The mean logarithm of each round over the prompts of `means`, as if each round had them all:
    a round that lacks a hard prompt is not a fast one."""
    middle = fmean(means.values())
    found = []
    for one in logs.values():
        apart = [log - means[prompt] for prompt, log in one.items() if prompt in means]
        if apart:
            found.append(middle + fmean(apart))
    return found


@dataclass(frozen=True)
class _Shares:
    """What rounds that lack prompts do to a variance: 1 of rounds that have them all."""

    variance: float
    """By so much the variance of the mean is larger than that which the rounds show."""
    freedom: float
    """Share of the degrees of freedom that is left; 0 where hardly a prompt is in two rounds."""


_WHOLE = _Shares(1.0, 1.0)


def _shares(values: Values, prompts: Collection[str]) -> _Shares:
    """How much of a round's own luck is left in it once each prompt is held against its own mean.

    A prompt that few rounds have has their luck in its mean, which takes it out of these rounds:
    they look more alike than they are. What is left is known from which round has which prompt; its
    degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2:110).
    """
    sets = [found for one in values.values() if (found := one.keys() & prompts)]
    count = len(sets)
    if not LEAST_ROUNDS <= count <= MOST_UNEVEN or all(len(one) == len(prompts) for one in sets):
        return _WHOLE
    import numpy as np  # noqa: PLC0415

    places = {prompt: at for at, prompt in enumerate(prompts)}
    has = np.zeros((count, len(places)))
    for at, one in enumerate(sets):
        has[at, [places[prompt] for prompt in one]] = 1
    means = has / has.sum(axis=0)
    luck = np.eye(count) - (has / has.sum(axis=1, keepdims=True)) @ means.T
    weights = means.mean(axis=1) + luck.mean(axis=0)
    apart = luck - luck.mean(axis=0)
    squares = apart.T @ apart
    total = float(np.trace(squares))
    left = float(np.sum(squares * squares))
    # Below a single degree of freedom, rounds show next to nothing of their luck.
    if total < LEAST_LEFT or total**2 < left:
        return _Shares(1.0, 0.0)
    return _Shares(
        variance=float(weights @ weights) * count * (count - 1) / total,
        freedom=total**2 / left / (count - 1),
    )


@dataclass(frozen=True)
class _Trimmed:
    value: float
    variance: float | None
    """Of `value`; None below `LEAST_ROUNDS` rounds."""
    freedom: float
    rounds: int


def _trimmed(values: Sequence[float], shares: _Shares) -> _Trimmed:
    """The trimmed mean, with the variance that Tukey and McLaughlin (1963) made of winsorized
    values: those set aside count as the nearest that is kept."""
    ranked, count = sorted(values), len(values)
    aside = (count - kept(count)) // 2
    inner = ranked[aside : count - aside]
    value = fmean(inner)
    if count < LEAST_ROUNDS or not shares.freedom:
        return _Trimmed(value, None, 0.0, count)
    winsorized = [inner[0]] * aside + inner + [inner[-1]] * aside
    middle = fmean(winsorized)
    squares = sum((x - middle) ** 2 for x in winsorized)
    size, freedom = len(inner), len(inner) - 1
    return _Trimmed(
        value, shares.variance * squares / (size * freedom), shares.freedom * freedom, count
    )
