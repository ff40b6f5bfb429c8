"""One sentence for each workload: what to use, how runners compare, and whether that is proven."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.settings import PARTED
from harness.analysis.side_by_side import OTHER_PROMPTS, Comparison, SideRow
from harness.analysis.statistics import Estimate
from harness.analysis.trial import NOT_MEASURED, TrialSummary
from harness.analysis.winner import Contest, Outcome
from harness.report import numbers
from harness.report.numbers import listed
from harness.report.tables import difference_words


def headlines(contests: Sequence[Contest], comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """A sentence for each comparison of runners, then one for each contest.

    Plain decoding that nothing of its runner is held against has no sentence of its own where a
    comparison names it. What is the same of several workloads is said once.
    """
    comparisons = [
        comparison
        for comparison in comparisons
        if any(row.trial.failure is None for row in comparison.plain.rows)
    ]
    named = {_trial(row.trial) for comparison in comparisons for row in comparison.plain.rows}
    workloads: dict[str, list[str]] = {}
    for group in _together(
        contest for contest in contests if _trial(contest.plain) not in named or _says_more(contest)
    ):
        workloads.setdefault(_of_workload(group, contests), []).append(group[0].plain.workload)
    return (
        *(comparison_line(comparison, comparisons) for comparison in comparisons),
        *(f"{', '.join(names)}{said}" for said, names in workloads.items()),
    )


def _together(contests: Iterable[Contest]) -> list[list[Contest]]:
    """Each contest by itself, but servers that failed for one reason on one workload together."""
    groups: dict[tuple[object, ...], list[Contest]] = {}
    for contest in contests:
        row = contest.plain
        alike = row.arm.as_served and row.failure is not None
        key = (row.workload, row.max_tokens, row.failure if alike else row.arm.id, alike)
        groups.setdefault(key, []).append(contest)
    return list(groups.values())


def _of_workload(group: Sequence[Contest], contests: Sequence[Contest]) -> str:
    """': ngram-mod k=4 is 1.32x plain [1.25, 1.40], lossless': what follows the workload."""
    if group[0].plain.arm.as_served:
        return _as_served([contest.plain for contest in group], contests)
    (contest,) = group
    return f"{_place(contest, contests)}: {_verdict(contest)}"


def comparison_line(comparison: Comparison, comparisons: Sequence[Comparison]) -> str:
    """'coding, runners side by side: plain llama.cpp 812 tok/s; mlx 0.52x [0.50, 0.54], …'."""
    group = comparison.plain
    place = [group.workload]
    if len({other.plain.max_tokens for other in comparisons}) > 1:
        place.append(f"{group.max_tokens} tokens")
    first = group.reference.trial
    parts = [f"{group.setting} {first.arm.runner} {_rate(first)}"]
    parts += [f"{group.name(row)} {_beside(row)}" for row in group.others if row.trial.decode_rate]
    without: dict[str, list[str]] = {}
    for row in group.others:
        if not row.trial.decode_rate:
            without.setdefault(_rate(row.trial), []).append(group.name(row))
    parts += [
        f"{listed(names)} {said if len(names) == 1 else said.replace('has ', 'have ')}"
        for said, names in without.items()
    ]
    sentence = f"{', '.join(place)}, runners side by side: {'; '.join(parts)}"
    if comparison.bests:
        bests = [
            f"{best.trial.setting} "
            f"{_rate(best.trial) if best.ratio is None else _ratio(best.ratio)}"
            for best in comparison.bests
        ]
        sentence += f". Best of each: {'; '.join(bests)}"
    doubtful = [group.name(row) for row in group.rows if row.trial.doubtful is not None]
    if doubtful:
        sentence += f" (doubtful: {listed(doubtful)})"
    if comparison.screen is not None:
        sentence += f" ({comparison.screen}: a screen, not a proof)"
    return sentence


def _trial(row: TrialSummary) -> tuple[str, str, int]:
    return (row.arm.id, row.workload, row.max_tokens)


def _says_more(contest: Contest) -> bool:
    """Whether a contest tells more than the rate of its plain arm, or that it cannot work."""
    if contest.plain.arm.impossible is not None:
        return False
    return contest.best is not None or contest.failed > 0 or contest.plain.failure is not None


def _rate(trial: TrialSummary) -> str:
    if trial.arm.impossible is not None:
        return "cannot work"
    if trial.decode_rate is None:
        return "has no figures" if trial.failure is not None else "has no decode rate"
    return f"{numbers.rate_estimate(trial.decode_rate)} tok/s"


def _beside(row: SideRow) -> str:
    if row.ratio is None:
        return _rate(row.trial)
    return f"{_ratio(row.ratio)}, {_same_text(row.text)}" if row.text else _ratio(row.ratio)


def _ratio(ratio: Estimate) -> str:
    shown = numbers.speedup(ratio)
    return f"{shown} (cannot be told apart)" if ratio.interval and 1 in ratio.interval else shown


def _same_text(found: Lossless) -> str:
    if found.verdict is Verdict.IDENTICAL:
        return "same text"
    if found.verdict is Verdict.NOT_COMPARABLE:
        return found.reason if found.reason == OTHER_PROMPTS else "texts not comparable"
    differ = f"{found.differing} of {found.compared} answers"
    if found.verdict is Verdict.NEAR_TIE:
        return f"same text but for near-ties in {differ}"
    return f"{differ} differ"


def _place(contest: Contest, contests: Sequence[Contest]) -> str:
    """What tells the contests of one workload apart: '', ', 64 tokens, against plain, ctk=f16'."""
    parts = [""]
    if len({other.max_tokens for other in contests}) > 1:
        parts.append(f"{contest.max_tokens} tokens")
    if len({other.plain.arm.id for other in contests}) > 1:
        parts.append(f"against {contest.plain.setting}")
    return ", ".join(parts)


def _as_served(rows: Sequence[TrialSummary], contests: Sequence[Contest]) -> str:
    """': as served 41.3 [40.9, 41.8] tok/s'; of several rows it is why they have no figures."""
    row = rows[0]
    several = len({other.max_tokens for other in contests}) > 1
    length = f", {row.max_tokens} tokens" if several else ""
    said = f"failed: {row.failure}" if row.failure is not None else _rate(row)
    if row.failure == NOT_MEASURED:
        said = NOT_MEASURED
    return f"{length}: {listed([row.setting for row in rows])} {said}"


def _verdict(contest: Contest) -> str:
    best = contest.best
    if best is None or best.speedup is None:
        return _without_speedup(contest)

    def name(row: TrialSummary) -> str:
        return _apart(row.setting, contest.plain.setting)

    gain = numbers.speedup(best.speedup)
    if contest.outcome is Outcome.PLAIN:
        of_what = f" of what could be measured ({_failed(contest)})" if contest.failed else ""
        return f"plain is fastest{of_what}; best of the others is {name(best)}, {gain}"
    if contest.outcome is Outcome.UNPROVEN:
        why = _why(contest, best)
        return f"no setting proven faster than plain: best is {name(best)} {gain}{why}"
    parts = [
        f"{name(best)} is {numbers.speedup(best.speedup, 'x plain')}",
        _faithful(best),
    ]
    if best.doubtful is not None:
        parts.append(f"but doubtful ({best.doubtful})")
    sentence = ", ".join(parts)
    if contest.screen is not None:
        sentence += f" ({contest.screen}: a screen, not a proof)"
    if contest.rivals:
        names = ", ".join(name(rival) for rival in contest.rivals)
        sentence += f"; cannot be told apart from {names}"
    return sentence


def _apart(setting: str, plain: str) -> str:
    """A setting without the runner and the model that its plain arm has too."""
    parts, shared = setting.split(PARTED), plain.split(PARTED)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(parts, shared, strict=False))
    return PARTED.join(parts[len(list(same)) :]) or setting


def _without_speedup(contest: Contest) -> str:
    plain = contest.plain
    if plain.arm.impossible is not None:
        return f"plain cannot work, so nothing can be compared: {plain.arm.impossible}"
    if plain.failure == NOT_MEASURED:
        return "plain was not measured, so nothing can be compared"
    if plain.failure is not None:
        return f"plain failed, so nothing can be compared: {plain.failure}"
    if plain.decode_rate is None:
        return "plain has no decode rate, so nothing can be compared"
    why = f" ({_failed(contest)})" if contest.failed else ""
    if plain.doubtful is not None:
        why += f", but doubtful ({plain.doubtful})"
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
