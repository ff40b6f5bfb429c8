"""Two sides held against each other, trial by trial: what came of it, for every view to print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis.doubt.mark import Figure
from harness.analysis.effect import Effect, effect
from harness.analysis.power import rounds_needed
from harness.analysis.speculating import Speculating, speculating_of
from harness.analysis.statistics import CONFIDENCE, Estimate, Interval, median
from harness.compare.matching import Match, Matching, check, check_measured, match
from harness.compare.measures import Measure, both
from harness.compare.side import Side, SideTrial
from harness.measured import BareSample
from harness.report.numbers import listed
from runners.base.speculation import PLAIN, parts_of

EQUAL = 0.02
"""Rates that are no more than this share apart are called no different, if the whole interval lies
within. Below it, two builds of one program, or two mornings, differ for no reason of their own."""

TOLD = (0.05, EQUAL)
"""Shares that a comparison which cannot tell says it would take so many rounds for."""

ROUNDING = 1e-9
"""Equal figures give ratios that are this near to 1, and not always 1 itself."""

APART = (
    "These are two runs: the intervals know how rounds of one run differ, and not how two days do. "
    "Measure both in one run with `bench ab`."
)


class Verdict(StrEnum):
    FASTER = "faster"
    """The candidate: the whole interval lies above 1."""
    SLOWER = "slower"
    SAME = "no difference"
    """The whole interval lies within `EQUAL` of 1."""
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Figures:
    """What one side has of a row. None: not exposed, or nothing to make it of."""

    samples: int
    failed: int
    left_out: int
    """Samples that the decode rate leaves out because they are doubtful."""
    doubtful: bool
    """More than half are, so that the decode rate is made of doubtful ones too."""
    doubt: str | None
    """The reason of most of them."""
    decode_rate: float | None
    """Median, tokens per second."""
    ttft_s: float | None
    """Median."""
    speculating: Speculating


@dataclass(frozen=True)
class Answers:
    """Greedy answers to one prompt in one round, of both sides."""

    same: int
    compared: int


@dataclass(frozen=True)
class Row:
    """One trial of both sides. Ratios are the candidate's figure / the baseline's."""

    match: Match
    effect: Effect | None
    """Of the decode rates; None where no prompt has one on both sides."""
    interval: Interval | None
    """Of its ratio, 95%."""
    verdict: Verdict
    why: str | None
    """Why it cannot be told; None where it can."""
    baseline: Figures
    candidate: Figures
    ttft: Estimate | None
    """Ratio of the times to the first token."""
    answers: Answers | None
    """None where answers are drawn, or not known."""


@dataclass(frozen=True)
class Comparison:
    """All that a view prints."""

    baseline: Side
    candidate: Side
    matching: Matching
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    """On the whole: what the intervals do not know, drift, what was not measured."""


def compare(baseline: Side, candidate: Side, *, force: bool = False) -> Comparison:
    """Match the trials of both sides and judge their decode rates.

    With several trials each has its own chance to differ by luck. A verdict therefore needs an
    interval with 1/n of the usual 5% beyond it (Bonferroni's); what is printed is the plain 95%.

    Raises:
        CompareError: no common trial, or, without `force`, sides whose ratio means nothing.
    """
    matching = match(baseline, candidate)
    check_measured(matching)
    if not force:
        check(matching)
    effects = [_effect(one, Measure.RATE, matching) for one in matching.matches]
    judged = max(1, sum(found is not None for found in effects))
    rows = tuple(
        _row(one, found, matching, greedy=_greedy(baseline, candidate), judged=judged)
        for one, found in zip(matching.matches, effects, strict=True)
    )
    return Comparison(baseline, candidate, matching, rows, _remarks(baseline, candidate, matching))


def verdict_of(found: Effect | None, judged: int) -> tuple[Verdict, str | None]:
    """What is told of decode rates, of which so many are told; and why nothing can be."""
    if found is None:
        return Verdict.UNKNOWN, "no prompt has a decode rate on both sides"
    interval = found.interval(1 - (1 - CONFIDENCE) / judged)
    if interval is None:
        return Verdict.UNKNOWN, found.lack
    if interval.low > 1 + ROUNDING:
        return Verdict.FASTER, None
    if interval.high < 1 - ROUNDING:
        return Verdict.SLOWER, None
    if interval.low >= 1 / (1 + EQUAL) and interval.high <= 1 + EQUAL:
        return Verdict.SAME, None
    return Verdict.UNKNOWN, _why(found, interval, judged)


def _why(found: Effect, interval: Interval, judged: int) -> str:
    """'the interval is ±7%; about 40 rounds would tell a difference of 5%'."""
    reach = math.expm1(math.log(interval.high / interval.low) / 2)
    if reach > 1:
        words = f"the interval reaches a factor of {1 + reach:.1f} either way"
    else:
        words = f"the interval is ±{reach:.{0 if reach >= 0.1 else 1}%}"
    if judged > 1:
        words += f" when {judged} trials are judged together"
    for share in TOLD:
        rounds = rounds_needed(found, share, (1 - CONFIDENCE) / (2 * judged))
        if rounds is not None and rounds > found.rounds:
            of = "" if found.paired else " of each run"
            return f"{words}; about {rounds} rounds{of} would tell a difference of {share:.0%}"
    return words


def _effect(found: Match, measure: Measure, matching: Matching) -> Effect | None:
    return effect(*both(found, measure), paired=matching.paired)


def _row(
    found: Match, rates: Effect | None, matching: Matching, *, greedy: bool, judged: int
) -> Row:
    failures = [
        f"the {side} has no sample: {trial.failure}"
        for side, trial in (("baseline", found.baseline), ("candidate", found.candidate))
        if trial.failure is not None
    ]
    verdict, why = verdict_of(rates, judged)
    ttft = _effect(found, Measure.TTFT, matching)
    return Row(
        match=found,
        effect=rates,
        interval=None if rates is None else rates.interval(CONFIDENCE),
        verdict=verdict,
        why=failures[0] if failures else why,
        baseline=_figures(found.baseline),
        candidate=_figures(found.candidate),
        ttft=(
            None if ttft is None else Estimate(ttft.ratio, ttft.interval(CONFIDENCE), ttft.pairs)
        ),
        answers=_answers(found) if greedy else None,
    )


def _figures(trial: SideTrial) -> Figures:
    rates = trial.made_of(Figure.RATE)
    arm = trial.arm
    # Of a chain, the length bounds the drafts of one of its parts.
    longest = arm.draft_tokens if len(parts_of(arm.method)) == 1 else None
    return Figures(
        samples=len(trial.samples),
        failed=trial.failed,
        left_out=0 if rates.doubtful else len(rates.spoiled),
        doubtful=rates.doubtful,
        doubt=trial.commonest_doubt(Figure.RATE),
        decode_rate=median([s.decode_rate for s in rates.samples if s.decode_rate is not None]),
        ttft_s=median([s.ttft_s for s in trial.sound(Figure.TTFT) if s.ttft_s is not None]),
        speculating=(
            Speculating()
            if arm.method == PLAIN
            else speculating_of(trial.sound(Figure.ACCEPTANCE), longest)
        ),
    )


def _greedy(baseline: Side, candidate: Side) -> bool:
    return not (baseline.manifest.suite.temperature or candidate.manifest.suite.temperature)


def _answers(found: Match) -> Answers | None:
    """Doubtful samples too: an answer is an answer. None where drafts are accepted by draw."""
    if found.baseline.arm.synthetic is not None or found.candidate.arm.synthetic is not None:
        return None
    before, after = _hashes(found.baseline.samples), _hashes(found.candidate.samples)
    pairs = [(before[place], after[place]) for place in before if place in after]
    return Answers(sum(one == other for one, other in pairs), len(pairs)) if pairs else None


def _hashes(samples: Sequence[BareSample]) -> dict[tuple[int, str], str]:
    return {(s.round, s.prompt): s.text_sha256 for s in samples if s.text_sha256 is not None}


def _remarks(baseline: Side, candidate: Side, matching: Matching) -> tuple[str, ...]:
    if matching.paired:
        return tuple(f"This run: {remark}" for remark in baseline.remarks)
    forbidding = [one.what for one in matching.differences if one.forbids]
    forced = "Compared only because of --force: the two differ in"
    return (
        *([f"{forced} {listed(forbidding)}."] if forbidding else []),
        APART,
        *(f"{side.name}: {remark}" for side in (baseline, candidate) for remark in side.remarks),
    )
