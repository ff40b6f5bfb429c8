"""Everything a report says, in order and free of any format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.ceilings import fits_cache, used_bandwidth
from harness.analysis.doubt.judge import Doubts, judge
from harness.analysis.lossless import NEAR_TIE
from harness.analysis.precision import least_exact
from harness.analysis.side_by_side import (
    SideBySide,
    compare_runners,
    other_prompts,
    side_by_side,
)
from harness.analysis.step_costs import cost_fits, step_costs
from harness.analysis.summary import summarise
from harness.analysis.trial import TrialSummary
from harness.analysis.winner import find_winners
from harness.goal import of_precision
from harness.records import Launch
from harness.report import numbers
from harness.report.doubts import doubt_warnings
from harness.report.facts import (
    Fact,
    FactGroup,
    machine_facts,
    method_facts,
    model_facts,
    rounds_begun,
    runner_facts,
    wall_time,
)
from harness.report.headlines import headlines
from harness.report.side_by_side import explanation, prompt_warnings, side_remarks, side_table
from harness.report.step_costs import StepCostSection, step_cost_section
from harness.report.tables import (
    Table,
    detail_table,
    failure_table,
    main_table,
    synthetic_table,
)
from harness.report.tuning import TuningSection, tuning_section
from harness.run_folder import RunData
from harness.tune.card import make_card


@dataclass(frozen=True)
class Command:
    """How to start one setting by hand."""

    setting: str
    command: str


@dataclass(frozen=True)
class SideSection:
    """Several runners beside each other; all of it empty where the run has none to compare."""

    groups: tuple[SideBySide, ...]
    """What all of its numbers come from."""
    table: Table
    explanation: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The words and figures of a report; `rows` are what all of its numbers come from."""

    title: str
    subtitle: str
    tuning: TuningSection | None
    """What a tuning recommends; None of any other run."""
    warnings: tuple[str, ...]
    """What a reader has to know before any figure."""
    headlines: tuple[str, ...]
    rows: tuple[TrialSummary, ...]
    table: Table
    remarks: tuple[str, ...]
    """What the table could not say, and why."""
    side_by_side: SideSection
    step_costs: StepCostSection
    synthetic: Table
    details: Table
    failures: Table
    machine: FactGroup
    runners: tuple[FactGroup, ...]
    models: tuple[FactGroup, ...]
    method: FactGroup
    wall_time: str | None
    """Where the time went; None where that is not recorded."""
    commands: tuple[Command, ...]
    files: tuple[Fact, ...]
    legend: tuple[Fact, ...]


FILES = (
    Fact("manifest.json", "what was to be measured: settings, prompts, machine, models"),
    Fact("samples.jsonl", "one line for each request: every number above is made of these"),
    Fact("launches.jsonl", "each start of a runner, with its command line"),
    Fact("probes.jsonl", "what plain finds likely where an answer parted from its own"),
    Fact("sessions.jsonl", "where the wall time went"),
    Fact("logs/", "what the runners wrote"),
    Fact("summary.csv", "the rows above as plain numbers"),
    Fact("figures/", "the figures as SVG"),
)

SIDE_FILES = (Fact("side_by_side.csv", "the runners side by side as plain numbers"),)

LEGEND = (
    Fact("tok/s", "decode rate: tokens per second after the first burst; median of the samples"),
    Fact("[a, b]", "95% interval; none where too few values or equal ones carry none"),
    Fact(
        "speed-up",
        "geometric mean of the decode rates divided by plain's, the same prompt in the same round",
    ),
    Fact("draft tokens (k)", "tokens proposed for one verification"),
    Fact("acceptance", "accepted / drafted tokens, over all steps of all requests"),
    Fact("τ", "acceptance length: tokens a decode step, the target's own included"),
    Fact(
        "of a request",
        "acceptance and τ as means over the requests, where a long answer counts no more than a "
        "short one",
    ),
    Fact("lossless", "whether the answer is plain's, token by token"),
    Fact(
        "near-tie at n (m)",
        f"it parts from plain's at token n, where two tokens are nearly tied for plain itself: m "
        f"is the margin of their log-probabilities, below {NEAR_TIE:.2f}",
    ),
    Fact("ceiling", "tok/s that the memory bandwidth allows at the measured τ and depth"),
    Fact("of ceiling", "decode rate / ceiling"),
    Fact("not exposed", "the runner does not tell; this is not 0"),
)

BURST_LEGEND = (
    Fact(
        "tokens per burst",
        "tokens that arrived together, where the runner does not tell its steps: a step may come "
        "in several parts, or several steps at once, so it is not τ",
    ),
)

SERVED_LEGEND = (
    Fact("as served", "a server that already ran decodes as it was started, speculating or not"),
)

SIDE_LEGEND = (
    Fact(
        "ratio",
        "geometric mean of the decode rates divided by the first runner's in the same setting, "
        "the same prompt in the same round",
    ),
    Fact("same text", "whether the answer is the first runner's in the same setting"),
    Fact("start-up", "from the start of the process to the first answered probe request"),
)


SYNTHETIC = (
    "Here a draw at the asked rate accepts the drafts, whatever the model says: the text is void, "
    "and a row measures the machine apart from any drafter. It tells how fast a drafter that is "
    "accepted so often would be."
)
"""What the rows with synthetic acceptance are, under their heading."""


def build_report(run: RunData) -> Report:
    """Analyse a run and put what came of it into words."""
    doubts = judge(run)
    rows = summarise(run, doubts)
    contests = find_winners(run, rows)
    groups = side_by_side(run, rows)
    costs = step_costs(run, rows)
    manifest = run.manifest
    tuning = None
    if manifest.suite.budget is not None:
        tuning = tuning_section(make_card(run, rows))
    return Report(
        title=manifest.suite.name,
        subtitle=f"decodebench {manifest.decodebench}, {manifest.created_at}",
        tuning=tuning,
        warnings=(*prompt_warnings(other_prompts(run)), *doubt_warnings(run, rows)),
        headlines=headlines(contests, compare_runners(run, groups, contests))
        if tuning is None
        else tuning.headlines,
        rows=rows,
        table=main_table(rows),
        remarks=(
            *_missing(run),
            *_exactness(run, rows, doubts),
            *_as_served(run),
            *_remarks(rows),
            *_bandwidths(run, rows),
            *_cached(run),
        ),
        side_by_side=SideSection(
            groups, side_table(groups), explanation(groups), side_remarks(groups)
        ),
        step_costs=step_cost_section(costs, cost_fits(costs), rows),
        synthetic=synthetic_table(rows),
        details=detail_table(rows),
        failures=failure_table(rows),
        machine=machine_facts(manifest.machine),
        runners=tuple(
            runner_facts(info, as_served=info.name in _visited(run)) for info in manifest.runners
        ),
        models=tuple(map(model_facts, manifest.models)),
        method=method_facts(run),
        wall_time=wall_time(run.sessions),
        commands=_commands(run, rows),
        files=(*FILES, *(SIDE_FILES if groups else ())),
        legend=(
            *LEGEND,
            *(BURST_LEGEND if any(row.tokens_per_burst for row in rows) else ()),
            *(SERVED_LEGEND if _visited(run) else ()),
            *(SIDE_LEGEND if groups else ()),
        ),
    )


def _missing(run: RunData) -> tuple[str, ...]:
    """Whether the run was cut short, by an interruption or by runners that did not start."""
    planned, measured = run.planned, len(run.samples)
    if measured >= planned or run.manifest.suite.budget is not None:
        return ()
    least = "at least " if run.manifest.suite.goes_on else ""
    return (f"{measured} of {least}{planned} planned requests were sent.",)


def _exactness(run: RunData, rows: Sequence[TrialSummary], doubts: Doubts) -> tuple[str, ...]:
    """Whether a sweep that went on until it was precise became so."""
    wanted = run.manifest.suite.precision
    if wanted is None:
        return ()
    found = of_precision(least_exact(run, rows, doubts), wanted)
    rounds = numbers.counted(rounds_begun(run), "round")
    if found.reached:
        return (f"As precise as was asked for after {rounds}: {found.words}.",)
    return (f"Less precise than was asked for after {rounds}: {found.words}.",)


def _visited(run: RunData) -> list[str]:
    """The runners that are attached to servers that somebody else has started."""
    return list(dict.fromkeys(arm.runner for arm in run.manifest.arms if arm.as_served))


def _as_served(run: RunData) -> tuple[str, ...]:
    answered = {sample.arm for sample in run.samples if sample.status == "ok"}
    names = list(
        dict.fromkeys(a.runner for a in run.manifest.arms if a.as_served and a.id in answered)
    )
    if not names:
        return ()
    one = len(names) == 1
    return (
        f"{numbers.listed(names)} already ran: {'it was' if one else 'they were'} not started anew "
        "for a round, so what was learnt from earlier answers (n-grams, caches) stayed; and the "
        f"machine of this report is the one that asked, where {'it' if one else 'they'} need not "
        "run.",
        *_cache_unknown(run),
    )


def _cache_unknown(run: RunData) -> list[str]:
    """Which servers, that may have seen a prompt before, do not tell what they had kept of it."""
    told: dict[str, bool] = {}
    served = {arm.id: arm.runner for arm in run.manifest.arms if arm.as_served}
    for sample in run.samples:
        if sample.arm in served and sample.status == "ok":
            name = served[sample.arm]
            told[name] = told.get(name, False) or sample.cached_tokens is not None
    silent = [name for name, tells in told.items() if not tells]
    if not silent:
        return []
    does, its = ("does", "its") if len(silent) == 1 else ("do", "their")
    return [
        f"{numbers.listed(silent)} {does} not tell whether prompts came from a cache: {its} TTFT "
        "may be shorter than a whole prefill."
    ]


def _remarks(rows: Sequence[TrialSummary]) -> tuple[str, ...]:
    """The reasons for empty cells, each said once."""
    measured = [row for row in rows if row.failure is None and row.arm.synthetic is None]
    ceilings = Counter(row.ceiling.reason for row in measured if row.ceiling.reason is not None)
    lossless = Counter(
        row.lossless.reason
        for row in measured
        if row.lossless.reason is not None and not row.arm.is_baseline
    )
    unprobed = Counter(
        row.lossless.unprobed_reason
        for row in measured
        if row.lossless.unprobed_reason is not None and not row.arm.is_baseline
    )
    return (
        *(f"No ceiling for {_rows(count)}: {reason}." for reason, count in ceilings.items()),
        *(f"Not compared with plain, {_rows(n)}: {reason}." for reason, n in lossless.items()),
        *(f"Differences not probed, {_rows(n)}: {reason}." for reason, n in unprobed.items()),
    )


def _bandwidths(run: RunData, rows: Sequence[TrialSummary]) -> tuple[str, ...]:
    """Which of the bandwidths that are known of a machine the ceilings stand on."""
    arms = {row.arm.id: row.arm for row in rows if row.ceiling.rate is not None}
    found = dict.fromkeys(used_bandwidth(run.manifest, arm) for arm in arms.values())
    return tuple(
        f"Ceilings stand on a memory bandwidth of {numbers.bandwidth(used.bytes_per_s)}, "
        f"{used.origin}."
        for used in found
        if used is not None
    )


def _cached(run: RunData) -> tuple[str, ...]:
    """A warning where weights may never leave the cache, which is faster than memory."""
    manifest = run.manifest
    if not any(fits_cache(manifest, arm) for arm in manifest.arms):
        return ()
    cache = numbers.size(manifest.machine.last_level_cache_bytes or 0)
    return (
        f"The weights fit in the processor's last cache ({cache}), which may be faster than the "
        "memory that the ceiling stands on.",
    )


def _rows(count: int) -> str:
    return numbers.counted(count, "row")


def _commands(run: RunData, rows: Sequence[TrialSummary]) -> tuple[Command, ...]:
    """One command for each arm: that of its first launch that came up, if any did."""
    found: dict[str, Launch] = {}
    for launch in sorted(run.launches, key=lambda launch: launch.status != "ok"):
        found.setdefault(launch.arm, launch)
    settings = {row.arm.id: row.setting for row in rows}
    return tuple(
        Command(setting, found[arm].command) for arm, setting in settings.items() if arm in found
    )
