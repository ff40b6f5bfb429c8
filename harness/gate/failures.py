"""What a side failed to do at all: a trial without figures, and prompts without an answer."""

from __future__ import annotations

from harness.analysis.notes import failure_of
from harness.analysis.trial import NOT_MEASURED, Trial
from harness.compare.matching import Match
from harness.compare.side import Side, SideTrial
from harness.gate.decide import Decision
from harness.gate.verdict import Figure, Row
from harness.report.numbers import counted


def failure(trial: SideTrial, side: Side) -> str | None:
    """Why a trial has no figures; None for one that has. A trial that was asked to speculate and
    drafted nothing has none: its rates are those of something else."""
    if trial.failure is not None:
        return trial.failure
    elsewhere = [one for one in side.trials if one.arm.id == trial.arm.id]
    return failure_of(
        Trial(
            arm=trial.arm,
            setting=trial.setting,
            workload=trial.workload,
            max_tokens=trial.max_tokens,
            samples=trial.samples,
            plain=(),
            launches=(),
            marks={},
            drafts_elsewhere=any(
                sample.drafted != 0 for one in elsewhere for sample in one.samples
            ),
        )
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


def requests_row(match: Match) -> Row | None:
    """Whether the candidate lost answers that the baseline had; None where nothing failed more."""
    before, after = match.baseline, match.candidate
    if after.failed <= before.failed:
        return None
    counts = (
        f"{_of(after)} of the candidate failed, {before.failed} of {_requests(before)} of the "
        "baseline"
    )
    answered = {sample.prompt for sample in after.samples}
    lost = sorted({sample.prompt for sample in before.samples} - answered)
    if not lost:
        return Row(
            trial=match.name,
            figure=Figure.REQUESTS,
            decision=Decision.INCONCLUSIVE,
            reason=counts,
        )
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return Row(
        trial=match.name,
        figure=Figure.REQUESTS,
        decision=Decision.REGRESSED,
        reason=f"no answer in any round to {', '.join(lost[:3])}{more}; {counts}",
    )


def _requests(trial: SideTrial) -> int:
    return len(trial.samples) + trial.failed


def _of(trial: SideTrial) -> str:
    return f"{trial.failed} of {counted(_requests(trial), 'request')}"
