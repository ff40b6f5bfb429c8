"""Several runners of one model on the same prompts: each arm beside its counterpart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.analysis.held_types import held_words
from harness.analysis.lossless import VOID, Lossless, Probes, compare, not_comparable
from harness.analysis.settings import setting_names
from harness.analysis.statistics import Estimate, geometric_mean_estimate, median
from harness.analysis.summary import probes_of
from harness.analysis.trial import Place, TrialSummary, by_place
from harness.analysis.winner import Contest, Outcome, screen_of
from harness.pairing import PromptCounts, pairs, prompt_counts, ratios
from harness.records import Arm, Sample
from harness.run_folder import RunData

OTHER_PROMPTS = "the prompts differ"
"""Why answers cannot be compared: to the models they are answers to different prompts."""

UNKNOWN_PROMPTS = "not both runners tell how long they find the prompts"
ONLY_PLAIN = "between runners only plain decoding's differences are probed"


@dataclass(frozen=True)
class SideRow:
    """One arm beside its counterpart. None: not exposed, or nothing to make it of."""

    trial: TrialSummary
    ratio: Estimate | None
    """Geometric mean of the decode rates divided by the counterpart's, by prompt and round; None
    for the counterpart itself."""
    text: Lossless | None
    """Its answers against the counterpart's; None for the counterpart itself."""
    prompts: PromptCounts | None
    """Its prompts against the counterpart's; None for the counterpart itself."""
    start_s: float | None
    """Median over the launches that came up: from the start of the process to the first answer.
    None too of a server that was started before."""
    weights: str | None
    """The type of the weights: 'Q4_1', 'F32 as BF16'."""


@dataclass(frozen=True)
class SideBySide:
    """One setting of several runners, on one workload at one `max_tokens`."""

    setting: str
    """What the setting is called, apart from its runner."""
    workload: str
    max_tokens: int
    reference: SideRow
    """The first runner's."""
    others: tuple[SideRow, ...]

    @property
    def rows(self) -> tuple[SideRow, ...]:
        return (self.reference, *self.others)

    def name(self, row: SideRow) -> str:
        """What tells one of the rows from the others: its runner, or where that is there with
        several options, its whole setting. As served beside plain, it says which it is."""
        arm = row.trial.arm
        if sum(other.trial.arm.runner == arm.runner for other in self.rows) > 1:
            return row.trial.setting
        alike = arm.as_served == self.reference.trial.arm.as_served
        return arm.runner if alike else f"{arm.runner} {arm.label}"


@dataclass(frozen=True)
class Best:
    """The proven best setting of one runner: plain decoding where no other is proven faster."""

    trial: TrialSummary
    ratio: Estimate | None
    """To the first runner's best; None for that one."""


@dataclass(frozen=True)
class Comparison:
    """Which runner decodes how fast: plain decoding, and the best setting of each."""

    plain: SideBySide
    bests: tuple[Best, ...]
    """One for each row of `plain`, in its order; nothing where plain is the best of each."""
    screen: str | None
    """Why it is a screen and not a proof: 'only 4 pairs', 'only 2 rounds'."""


@dataclass(frozen=True)
class OtherPrompts:
    """A runner that finds prompts of other lengths than the first runner."""

    runner: str
    reference: str
    counts: PromptCounts


def side_by_side(run: RunData, rows: Sequence[TrialSummary]) -> tuple[SideBySide, ...]:
    """Every setting that several runners have, by setting, workload and `max_tokens`.

    Nothing for a run in which no arm has a counterpart. `rows` are those of `summarise`.
    """
    arms = {arm.id: arm for arm in run.manifest.arms}
    beside: dict[str, list[Arm]] = defaultdict(list)
    for arm in arms.values():
        if arm.counterpart in arms:
            beside[arm.counterpart].append(arm)
    if not beside:
        return ()
    trials = {_place(row): row for row in rows}
    samples = by_place(run.samples)
    probes = probes_of(run)
    return tuple(
        SideBySide(
            setting=setting,
            workload=workload,
            max_tokens=max_tokens,
            reference=_row(run, trials[reference.id, workload, max_tokens]),
            others=tuple(
                _beside(
                    run,
                    probes,
                    _Pair(
                        trials[arm.id, workload, max_tokens],
                        trials[reference.id, workload, max_tokens],
                        samples.get((arm.id, workload, max_tokens), ()),
                        samples.get((reference.id, workload, max_tokens), ()),
                    ),
                )
                for arm in beside[reference.id]
            ),
        )
        for reference, setting in _references(run, beside)
        for workload in dict.fromkeys(row.workload for row in rows)
        for max_tokens in run.manifest.suite.max_tokens
    )


def compare_runners(
    run: RunData, groups: Sequence[SideBySide], contests: Sequence[Contest]
) -> tuple[Comparison, ...]:
    """Plain decoding and the best of each runner: by workload, `max_tokens` and plain setting."""
    samples = by_place(run.samples)
    winners = {
        _place(contest.plain): contest.best
        for contest in contests
        if contest.outcome is Outcome.SPECULATION and contest.best is not None
    }
    found = []
    for group in groups:
        if not group.reference.trial.arm.is_baseline:
            continue
        bests = [winners.get(_place(row.trial), row.trial) for row in group.rows]
        first = samples.get(_place(bests[0]), ())
        reference = group.reference.trial
        own = reference.sound(samples.get(_place(reference), ()))
        screens = [
            screen_of(gains)
            for row in group.others
            if (gains := ratios(row.trial.sound(samples.get(_place(row.trial), ())), own))
        ]
        found.append(
            Comparison(
                plain=group,
                bests=()
                if all(best.arm.is_baseline for best in bests)
                else (
                    Best(bests[0], None),
                    *(
                        Best(best, _ratio(best, bests[0], samples.get(_place(best), ()), first))
                        for best in bests[1:]
                    ),
                ),
                screen=next((screen for screen in screens if screen is not None), None),
            )
        )
    workloads = list(dict.fromkeys(prompt.workload for prompt in run.manifest.prompts))
    return tuple(sorted(found, key=lambda one: workloads.index(one.plain.workload)))


def other_prompts(run: RunData) -> tuple[OtherPrompts, ...]:
    """The runners that find some prompt longer or shorter than the first runner does."""
    arms = {arm.id: arm for arm in run.manifest.arms}
    samples: dict[str, list[Sample]] = defaultdict(list)
    for sample in run.samples:
        samples[sample.arm].append(sample)
    found: dict[tuple[str, str], PromptCounts] = {}
    for arm in arms.values():
        if arm.counterpart not in arms:
            continue
        counts = prompt_counts(samples[arm.id], samples[arm.counterpart])
        runners = (arm.runner, arms[arm.counterpart].runner)
        # All arms of a runner read the same prompts: the one with the most answers tells most.
        if counts.differing > found.get(runners, PromptCounts()).differing:
            found[runners] = counts
    return tuple(OtherPrompts(*runners, counts) for runners, counts in found.items())


@dataclass(frozen=True)
class _Pair:
    """An arm and its counterpart on one workload at one `max_tokens`."""

    trial: TrialSummary
    reference: TrialSummary
    samples: Sequence[Sample]
    others: Sequence[Sample]


def _references(run: RunData, beside: Mapping[str, object]) -> list[tuple[Arm, str]]:
    """The first runner's arms that have something beside them, each with a name of its own."""
    arms = run.manifest.arms
    firsts = {arm.runner for arm in arms if arm.id in beside}
    names = setting_names([arm for arm in arms if arm.runner in firsts])
    return [(arm, names[arm.id]) for arm in arms if arm.id in beside]


def _row(run: RunData, trial: TrialSummary) -> SideRow:
    starts = [
        launch.start_s
        for launch in run.launches
        if launch.arm == trial.arm.id and launch.status == "ok"
    ]
    return SideRow(
        trial,
        None,
        None,
        None,
        start_s=None if trial.arm.as_served else median(starts),
        weights=_weights(run, trial.arm),
    )


def _beside(run: RunData, probes: Probes, pair: _Pair) -> SideRow:
    counts = prompt_counts(pair.samples, pair.others)
    return replace(
        _row(run, pair.trial),
        ratio=_ratio(pair.trial, pair.reference, pair.samples, pair.others),
        text=_text(run, probes, pair, counts),
        prompts=counts,
    )


def _ratio(
    trial: TrialSummary,
    reference: TrialSummary,
    samples: Sequence[Sample],
    others: Sequence[Sample],
) -> Estimate | None:
    if trial.failure is not None or reference.failure is not None:
        return None
    return geometric_mean_estimate(ratios(trial.sound(samples), reference.sound(others)))


def _text(run: RunData, probes: Probes, pair: _Pair, counts: PromptCounts) -> Lossless:
    arm, reference = pair.trial.arm, pair.reference.arm
    if pair.trial.failure is not None:
        return not_comparable("it has no figures")
    if pair.reference.failure is not None:
        return not_comparable(f"{reference.runner} has no figures")
    if arm.synthetic is not None:
        return not_comparable(VOID)
    if counts.differing:
        return not_comparable(OTHER_PROMPTS)
    if all(other is None for _, other in pairs(pair.samples, pair.others)):
        return not_comparable(f"no answer of {reference.runner} to the same prompt and round")
    if not arm.is_baseline:
        probes = replace(probes, unchosen=ONLY_PLAIN)
    elif not counts.compared:
        probes = replace(probes, unchosen=UNKNOWN_PROMPTS)
    return compare(
        pair.samples,
        # Whoever is asked about a place is the plain arm, which may have been asked already.
        [s.model_copy(update={"arm": reference.baseline}) for s in pair.others],
        temperature=run.manifest.suite.temperature,
        probes=probes,
        of_runners=True,
    )


def _weights(run: RunData, arm: Arm) -> str | None:
    facts = next((model.facts for model in run.manifest.models if model.path == arm.model), None)
    info = next((info for info in run.manifest.runners if info.name == arm.runner), None)
    kind = arm.runner if info is None or info.kind is None else info.kind
    return None if facts is None else held_words(kind, facts, arm.options)


def _place(row: TrialSummary) -> Place:
    return (row.arm.id, row.workload, row.max_tokens)
