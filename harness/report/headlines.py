"""One sentence for each workload: what to use, and whether that is proven."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.lossless import Verdict
from harness.analysis.summary import TrialSummary
from harness.analysis.winner import Contest, Outcome
from harness.report import numbers
from harness.report.tables import difference_words


def headline(contest: Contest, contests: Sequence[Contest]) -> str:
    """'coding: ngram-mod k=4 is 1.32x plain [1.25, 1.40], lossless'."""
    return f"{_place(contest, contests)}: {_verdict(contest)}"


def _place(contest: Contest, contests: Sequence[Contest]) -> str:
    """The workload, and as much more as tells the contests apart."""
    parts = [contest.workload]
    if len({other.max_tokens for other in contests}) > 1:
        parts.append(f"{contest.max_tokens} tokens")
    if len({other.plain.arm.id for other in contests}) > 1:
        parts.append(f"against {contest.plain.setting}")
    return ", ".join(parts)


def _verdict(contest: Contest) -> str:
    best, plain = contest.best, contest.plain
    if best is None or best.speedup is None:
        return _without_speedup(plain)
    gain = numbers.speedup(best.speedup)
    if contest.outcome is Outcome.PLAIN:
        return f"plain is fastest; best of the others is {best.setting}, {gain}"
    if contest.outcome is Outcome.UNPROVEN:
        return f"no setting proven faster than plain: best is {best.setting} {gain}{_why(best)}"
    parts = [
        f"{best.setting} is {numbers.speedup(best.speedup, 'x plain')}",
        _faithful(best),
    ]
    if best.loops:
        parts.append(f"but {best.loops} of {best.ok} answers loop")
    sentence = ", ".join(parts)
    if contest.screen is not None:
        sentence += f" ({contest.screen}: a screen, not a proof)"
    if contest.rivals:
        names = ", ".join(rival.setting for rival in contest.rivals)
        sentence += f"; cannot be told apart from {names}"
    return sentence


def _without_speedup(plain: TrialSummary) -> str:
    if plain.failure is not None:
        return f"plain failed, so nothing can be compared: {plain.failure}"
    if plain.decode_rate is None:
        return "plain has no decode rate, so nothing can be compared"
    return (
        f"plain decodes {numbers.rate_estimate(plain.decode_rate)} tok/s, with nothing to compare"
    )


def _why(best: TrialSummary) -> str:
    if best.speedup is not None and best.speedup.interval is None:
        return f", from too few pairs ({best.speedup.count}) for an interval"
    if best.speculating.acceptance_rate == 0:
        return ", with every draft rejected"
    return ""


def _faithful(best: TrialSummary) -> str:
    if best.lossless.verdict is Verdict.IDENTICAL:
        return "lossless"
    if best.lossless.verdict is Verdict.NOT_COMPARABLE:
        return "not known to be lossless"
    return f"but its text {difference_words(best.lossless)}"
