"""The figures of a trial that are numbers: a row for each that either side tells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.effect import Effect, Values, effect, mean_logarithms
from harness.compare.matching import Match
from harness.compare.measures import Measure, both
from harness.compare.side import SideTrial
from harness.gate.decide import Judgement, decide, sight, why_inconclusive
from harness.gate.verdict import Figure, Row
from runners.base.speculation import PLAIN

FIGURES = {
    Figure.DECODE_RATE: Measure.RATE,
    Figure.TTFT: Measure.TTFT,
    Figure.ACCEPTANCE_RATE: Measure.ACCEPTANCE,
    Figure.ACCEPTANCE_LENGTH: Measure.LENGTH,
    Figure.PEAK_MEMORY: Measure.MEMORY,
}

LEAST_ERROR = 1e-9
"""What rounds that are all alike leave of an error is the rounding of their logarithms."""

ONE_SIDED = 3
"""Doubtful samples of the candidate that deserve a word, where the baseline has not half as many:
a slowness of its own making must not leave the figures by that door unseen."""


@dataclass(frozen=True)
class Compared:
    """One figure of one trial, before it is judged."""

    match: Match
    figure: Figure
    baseline: Values
    candidate: Values
    found: Effect | None

    @property
    def is_noisy(self) -> bool:
        """Chance can move it, so that it needs a part of the error rate."""
        return self.found is None or self.found.error is None or self.found.error > LEAST_ERROR


def compared(match: Match, *, paired: bool) -> Iterator[Compared]:
    """Every figure that a side of this trial tells; the decode rate in any case."""
    arms = (match.baseline.arm, match.candidate.arm)
    # What is drawn is what was asked for, and plain decoding drafts nothing.
    drafts = all(arm.synthetic is None and arm.method != PLAIN for arm in arms)
    for figure, measure in FIGURES.items():
        if not drafts and figure in (Figure.ACCEPTANCE_RATE, Figure.ACCEPTANCE_LENGTH):
            continue
        before, after = both(match, measure)
        if figure is Figure.DECODE_RATE or any(before.values()) or any(after.values()):
            yield Compared(match, figure, before, after, effect(before, after, paired=paired))


def row_of(one: Compared, threshold: float, error_rate: float) -> Row:
    """Judge it; `error_rate` is its own share."""
    measure = FIGURES[one.figure]
    higher = measure.worse == "higher"
    judged = decide(one.found, threshold, error_rate, higher_is_worse=higher)
    before, after = _levels(one.baseline, one.candidate)
    return Row(
        trial=one.match.name,
        figure=one.figure,
        decision=judged.decision,
        change=judged.change,
        baseline=before,
        candidate=after,
        ratio=None if one.found is None else one.found.ratio,
        interval=judged.interval,
        rounds=None if one.found is None else one.found.rounds,
        left_out=_left_out(one.match.baseline, measure) + _left_out(one.match.candidate, measure),
        sight=sight(one.found, threshold, error_rate, higher_is_worse=higher),
        reason=_why(one, judged),
    )


def _why(one: Compared, judged: Judgement) -> str | None:
    """What there is to say beside the figures; None of nothing."""
    silent = [
        name
        for name, values in (("baseline", one.baseline), ("candidate", one.candidate))
        if not any(values.values())
    ]
    if silent:
        return f"the {' and the '.join(silent)} tells none"
    if judged.interval is None:
        return why_inconclusive(one.found)
    measure = FIGURES[one.figure]
    both_sides = (one.match.baseline, one.match.candidate)
    for trial in both_sides:
        if trial.made_of(measure.figure).doubtful:
            doubt = trial.commonest_doubt(measure.figure)
            return f"most of its samples are doubtful ({doubt}), so that none could be left out"
    if one.figure is Figure.DECODE_RATE:
        before, after = (_left_out(trial, measure) for trial in both_sides)
        if after >= ONE_SIDED and after > 2 * before:
            doubt = both_sides[1].commonest_doubt(measure.figure)
            return (
                f"{after} doubtful samples of the candidate are left out ({doubt}), {before} of "
                "the baseline: see that the candidate does not cause it"
            )
        planned = {sample.prompt for trial in both_sides for sample in trial.samples}
        compared_ = {prompt for found in one.baseline.values() for prompt in found}
        if len(compared_) < len(planned):
            return (
                f"made of {len(compared_)} of {len(planned)} prompts: the others have no sound "
                "rate on both sides"
            )
    return None


def _levels(before: Values, after: Values) -> tuple[float | None, float | None]:
    """Of each side the geometric mean over the prompts of both, each prompt by its own: a median of
    hard prompts and easy ones would tell another change than the ratio does."""
    sides = [mean_logarithms(values) for values in (before, after)]
    shared = sides[0].keys() & sides[1].keys()
    one, other = (
        math.exp(fmean(means[p] for p in shared or means)) if means else None for means in sides
    )
    return one, other


def _left_out(trial: SideTrial, measure: Measure) -> int:
    found = trial.made_of(measure.figure)
    return 0 if found.doubtful else len(found.spoiled)
