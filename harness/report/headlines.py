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
    best = contest.best
    if best is None or best.speedup is None:
        return _without_speedup(contest)
    gain = numbers.speedup(best.speedup)
    if contest.outcome is Outcome.PLAIN:
        of_what = f" of what could be measured ({_failed(contest)})" if contest.failed else ""
        return f"plain is fastest{of_what}; best of the others is {best.setting}, {gain}"
    if contest.outcome is Outcome.UNPROVEN:
        why = _why(contest, best)
        return f"no setting proven faster than plain: best is {best.setting} {gain}{why}"
    parts = [
        f"{best.setting} is {numbers.speedup(best.speedup, 'x plain')}",
        _faithful(best),
    ]
    if best.loops:
        parts.append(f"but {best.loops} of {best.ok} answers loop, which inflates acceptance")
    sentence = ", ".join(parts)
    if contest.screen is not None:
        sentence += f" ({contest.screen}: a screen, not a proof)"
    if contest.rivals:
        names = ", ".join(rival.setting for rival in contest.rivals)
        sentence += f"; cannot be told apart from {names}"
    return sentence


def _without_speedup(contest: Contest) -> str:
    plain = contest.plain
    if plain.failure is not None:
        return f"plain failed, so nothing can be compared: {plain.failure}"
    if plain.decode_rate is None:
        return "plain has no decode rate, so nothing can be compared"
    why = f" ({_failed(contest)})" if contest.failed else ""
    rate = numbers.rate_estimate(plain.decode_rate)
    return f"plain decodes {rate} tok/s, with nothing to compare{why}"


def _failed(contest: Contest) -> str:
    return f"{numbers.counted(contest.failed, 'setting')} failed"


def _why(contest: Contest, best: TrialSummary) -> str:
    if best.speedup is None or best.speedup.interval is None:
        pairs = 0 if best.speedup is None else best.speedup.count
        return f", from too few pairs ({pairs}) for an interval"
    if best.speculating.acceptance_rate == 0:
        return ", with every draft rejected"
    if best.speedup.interval.low > 1 and not best.speculating.found_nothing:
        return f", which the best of {contest.compared} may be by luck: measure more rounds"
    return ""


def _faithful(best: TrialSummary) -> str:
    if best.lossless.verdict is Verdict.IDENTICAL:
        return "lossless"
    if best.lossless.verdict is Verdict.NEAR_TIE:
        found = best.lossless
        return f"lossless but for near-ties in {found.differing} of {found.compared} answers"
    if best.lossless.verdict is Verdict.NOT_COMPARABLE:
        return "not known to be lossless"
    return f"but its text {difference_words(best.lossless)}"
