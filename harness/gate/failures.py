"""What a side failed to do at all: a trial without figures, prompts without an answer, answers
that end at once."""

from __future__ import annotations

from statistics import fmean

from harness.analysis.doubt.early_end import LEAST_TOKENS
from harness.analysis.notes import failure_of
from harness.analysis.trial import NOT_MEASURED
from harness.compare.matching import Match
from harness.compare.side import Side, SideTrial
from harness.gate.decide import Decision
from harness.gate.verdict import Figure, Row
from harness.report.numbers import counted

MUCH_SHORTER = 0.8
"""Of the baseline's tokens: answers that part by a rounding end a little sooner or later, and not
all of them sooner."""


def failure(trial: SideTrial, side: Side) -> str | None:
    """Why a trial has no figures; None for one that has. A trial that was asked to speculate and
    drafted nothing has none: its rates are those of something else."""
    if trial.failure is not None:
        return trial.failure
    elsewhere = [one for one in side.trials if one.arm.id == trial.arm.id]
    return failure_of(
        trial.arm,
        trial.samples,
        (),
        drafts_elsewhere=any(s.drafted != 0 for one in elsewhere for s in one.samples),
    )


def failed_row(match: Match, before: str | None, after: str | None) -> Row | None:
    """The decode rate of a trial that failed on a side; None where it failed on neither."""
    if before is None and after is None:
        return None
    decision = Decision.INCONCLUSIVE
    if before is not None and after is not None:
        reason = f"neither side has figures: baseline: {before}; candidate: {after}"
    elif before is not None:
        reason = f"the baseline has no figures: {before}"
    else:
        reason = f"the candidate has no figures: {after}"
        # What was interrupted is not what broke.
        if after != NOT_MEASURED:
            decision = Decision.REGRESSED
    return Row(trial=match.name, figure=Figure.DECODE_RATE, decision=decision, reason=reason)


def requests_row(match: Match, error_rate: float) -> Row | None:
    """Whether the candidate lost answers that the baseline had; None where nothing failed more.

    A round in which something failed counts once, since a runner that is lost takes more than one
    request with it. `error_rate` is this row's share.
    """
    before, after = match.baseline, match.candidate
    answered = {sample.prompt for sample in after.samples}
    never = {prompt for _, prompt in after.failures} - answered
    lost = sorted({sample.prompt for sample in before.samples} & never)
    unlaunched = len(after.unlaunched) > len(before.unlaunched)
    if not lost and not unlaunched and after.failed <= before.failed:
        return None
    counts = (
        f"{_of(after)} of the candidate failed, {before.failed} of {_requests(before)} of the "
        "baseline"
    )
    if unlaunched:
        counts += (
            f"; {counted(len(after.unlaunched), 'launch', 'launches')} of the candidate failed, "
            f"{len(before.unlaunched)} of the baseline, so that rounds are missing"
        )
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        reason = f"no answer in any round to {', '.join(lost[:3])}{more}; {counts}"
    elif _chance(before, after) <= error_rate:
        reason = f"in more rounds than by chance: {counts}"
    else:
        return Row(match.name, Figure.REQUESTS, Decision.INCONCLUSIVE, reason=counts)
    return Row(match.name, Figure.REQUESTS, Decision.REGRESSED, reason=reason)


def answers_row(match: Match) -> Row | None:
    """Whether the candidate ends answers where the baseline writes on, so that they have no rate;
    None where it does not, and of drafts by draw, whose text is void.

    One that is much shorter is only named: its rate is of another text.
    """
    before, after = match.baseline, match.candidate
    if before.arm.synthetic is not None or after.arm.synthetic is not None:
        return None
    told, now = _lengths(before), _lengths(after)
    shared = sorted(told.keys() & now.keys())
    cut = [one for one in shared if max(now[one]) < LEAST_TOKENS <= min(told[one])]
    if cut:
        more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
        return Row(
            match.name,
            Figure.ANSWERS,
            Decision.REGRESSED,
            reason=f"fewer than {LEAST_TOKENS} tokens in every round for {', '.join(cut[:3])}"
            f"{more}, where the baseline always writes more",
        )
    whole, left = (sum(fmean(of[one]) for one in shared) for of in (told, now))
    if not shared or left >= MUCH_SHORTER * whole:
        return None
    return Row(
        match.name,
        Figure.ANSWERS,
        Decision.INCONCLUSIVE,
        reason=f"shorter by {1 - left / whole:.0%}, so that its figures are of other text",
    )


def _lengths(trial: SideTrial) -> dict[str, list[int]]:
    """Prompt -> tokens of each answer."""
    found: dict[str, list[int]] = {}
    for sample in trial.samples:
        if sample.output_tokens is not None:
            found.setdefault(sample.prompt, []).append(sample.output_tokens)
    return found


def _chance(before: SideTrial, after: SideTrial) -> float:
    """Of so many rounds with failures in the candidate if it fails no more than the baseline
    (Fisher's exact test, on one side)."""
    from scipy import stats  # noqa: PLC0415

    failed = [
        {number for number, _ in trial.failures} | set(trial.unlaunched)
        for trial in (before, after)
    ]
    rounds = [
        len(lost | {sample.round for sample in trial.samples})
        for lost, trial in zip(failed, (before, after), strict=True)
    ]
    lost_before, lost_after = map(len, failed)
    chance = stats.hypergeom.sf(lost_after - 1, sum(rounds), lost_before + lost_after, rounds[1])
    return float(chance)


def _requests(trial: SideTrial) -> int:
    return len(trial.samples) + trial.failed


def _of(trial: SideTrial) -> str:
    return f"{trial.failed} of {counted(_requests(trial), 'request')}"
