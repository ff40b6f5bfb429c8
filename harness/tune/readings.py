"""What a tuning may choose from and what it knows, read off its run's records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.analysis.doubt.judge import Doubts, judge
from harness.analysis.doubt.mark import Figure
from harness.analysis.lossless import Lossless, Probes, Verdict, compare
from harness.analysis.speculating import Speculating, speculating_of
from harness.analysis.summary import probes_of
from harness.differences import MOST_PROBES
from harness.records import Arm, Launch, Sample
from harness.run_folder import RunData
from harness.tune.evidence import PLAIN, Evidence, Reading
from harness.tune.failures import Requests, is_broken
from harness.tune.goal import NAMES, SPOILED_BY, rate_of, share_before
from harness.tune.group import groups_of, hopeless
from harness.tune.space import Candidate, Space
from harness.tuning_goal import TuningGoal
from runners.base.speculation import PLAIN as PLAIN_METHOD


@dataclass(frozen=True)
class Against:
    """What there is against a setting."""

    arm: str
    reason: str


@dataclass(frozen=True)
class Known:
    """What is known of a tuning by its records."""

    goal: TuningGoal
    plain: Arm
    """What everything is held against: plain decoding with the first value of each option."""
    space: Space
    """Without what is left out."""
    readings: tuple[Reading, ...]
    left_out: tuple[Against, ...]
    """What cannot win, whatever its speed."""
    failed: tuple[Against, ...]
    """Of which requests failed, too few for it to be left out; plain decoding's too."""
    fault: str | None
    """Why nothing can be held against plain decoding; None where something can."""
    plain_lost: bool
    """It no longer starts: no further round can tell anything."""

    @cached_property
    def evidence(self) -> Evidence:
        return Evidence(self.readings)


def read_known(run: RunData) -> Known:
    """Everything that a run tells so far.

    A setting leaves the space where it fails (`is_broken`), drafted nothing, had every
    drafted token rejected, or wrote another text than plain decoding other than by a near-tie.
    Where it drafted nothing or had everything rejected on one workload alone, it has no readings of
    that workload.
    """
    arms = run.manifest.arms
    plain = next(arm for arm in arms if arm.is_baseline)
    workloads = tuple(dict.fromkeys(prompt.workload for prompt in run.manifest.prompts))
    records = _Records(run, plain)
    reasons = {arm.id: records.reason_against(arm) for arm in arms if arm is not plain}
    reasons |= _of_families([arm for arm in arms if arm is not plain], reasons, records.measured)
    return Known(
        goal=records.goal,
        plain=plain,
        space=replace(
            space_of([arm for arm in arms if reasons.get(arm.id) is None], workloads, records.goal),
            silent=records.silent(workloads),
        ),
        readings=tuple(
            reading
            for arm in arms
            if reasons.get(arm.id) is None
            for workload in workloads
            for reading in records.readings(arm, workload)
        ),
        left_out=tuple(Against(arm, reason) for arm, reason in reasons.items() if reason),
        failed=tuple(
            Against(arm.id, why)
            for arm in arms
            if not reasons.get(arm.id) and (why := records.passed_over(arm)) is not None
        ),
        fault=records.fault(),
        plain_lost=records.is_plain_lost(),
    )


def space_of(arms: Sequence[Arm], workloads: Iterable[str], goal: TuningGoal) -> Space:
    """All arms but the first plain one are candidates.

    Of TTFT, the shortest of each family alone: the first token comes before any draft is verified,
    so that a longer one can bring it no sooner.
    """
    plain = next((arm for arm in arms if arm.is_baseline), None)
    space = Space(
        tuple(_candidate(arm) for arm in arms if arm is not plain), tuple(dict.fromkeys(workloads))
    )
    if goal is not TuningGoal.TTFT:
        return space
    return replace(space, candidates=tuple(family[0] for family in space.families.values()))


def before(run: RunData, number: int) -> RunData:
    """What was known when a round began."""
    return replace(
        run,
        launches=tuple(launch for launch in run.launches if launch.round < number),
        samples=tuple(sample for sample in run.samples if sample.round < number),
    )


def _of_families(
    arms: Sequence[Arm], reasons: Mapping[str, str | None], measured: Collection[str]
) -> dict[str, str]:
    """Reasons against settings that were not measured, since others like them do not work."""
    possible = {arm.id: arm for arm in arms if arm.impossible is None}
    tried = [name for name in possible if name in measured]
    left = {name for name in tried if reasons[name]}
    space = Space(tuple(map(_candidate, possible.values())), ())
    return {
        arm: f"not measured, as {possible[like].label}: {reasons[like]}"
        for arm, like in hopeless(groups_of(space), left, set(tried) - left).items()
    }


def _candidate(arm: Arm) -> Candidate:
    """Plain decoding under other options drafts nothing: it is a family of its own."""
    family = arm.model_copy(update={"id": "", "draft_tokens": None, "asked": (), "limit": None})
    of_group = {"options": (), "varied": None, "baseline": "", "counterpart": None}
    return Candidate(
        arm.id,
        family.model_dump_json(),
        arm.draft_tokens or 1,
        family.model_copy(update=of_group).model_dump_json(),
        arm.options,
    )


class _Records:
    """The records of a run by arm."""

    def __init__(self, run: RunData, plain: Arm) -> None:
        self.goal = run.manifest.suite.goal or TuningGoal.DECODE
        self._run = run
        self._plain = plain
        self._launches: dict[str, list[Launch]] = defaultdict(list)
        for launch in run.launches:
            self._launches[launch.arm].append(launch)
        self._ok: dict[str, list[Sample]] = defaultdict(list)
        self._failed: dict[str, list[Sample]] = defaultdict(list)
        for sample in run.samples:
            (self._ok if sample.status == "ok" else self._failed)[sample.arm].append(sample)
        self._doubts: Doubts = judge(run)
        self._probes: Probes = probes_of(run)

    @property
    def measured(self) -> Collection[str]:
        """The arms that were launched."""
        return {one.arm for one in self._run.launches} | {one.arm for one in self._run.samples}

    def silent(self, workloads: Iterable[str]) -> frozenset[tuple[str, str]]:
        """(arm, workload) where nothing was drafted, or nothing of it accepted."""
        return frozenset(
            (arm.id, workload)
            for arm in self._run.manifest.arms
            if arm.method != PLAIN_METHOD
            for workload in workloads
            if self._is_silent(arm, workload)
        )

    def _is_silent(self, arm: Arm, workload: str) -> bool:
        samples = [sample for sample in self._ok[arm.id] if sample.workload == workload]
        return bool(samples) and _idle(speculating_of(samples)) is not None

    def fault(self) -> str | None:
        """Why plain decoding tells nothing; None also where nobody has asked it yet."""
        if self._plain.impossible is not None:
            return self._plain.impossible
        ok, failed = self._ok[self._plain.id], self._failed[self._plain.id]
        if any(rate_of(self.goal, sample) is not None for sample in ok):
            return None
        if self.is_plain_lost():
            return f"plain decoding: {self._launches[self._plain.id][-1].reason}"
        if failed:
            return f"plain decoding: {failed[0].reason}"
        return f"plain decoding has no {NAMES[self.goal]}" if ok else None

    def is_plain_lost(self) -> bool:
        launches = self._launches[self._plain.id]
        return bool(launches) and launches[-1].status == "failed"

    def reason_against(self, arm: Arm) -> str | None:
        """Why an arm cannot be recommended; None: nothing speaks against it so far."""
        return arm.impossible or self._failure(arm) or self._doubt(arm, self._ok[arm.id])

    def _failure(self, arm: Arm) -> str | None:
        launches = self._launches[arm.id]
        if launches and launches[-1].status == "failed":
            return launches[-1].reason or "it did not start"
        own = self._requests(arm)
        return own.told if is_broken(own, self._requests(self._plain)) else None

    def passed_over(self, arm: Arm) -> str | None:
        """What failed of an arm that stays; None: nothing."""
        return self._requests(arm).told

    def _requests(self, arm: Arm) -> Requests:
        return Requests(self._ok[arm.id], self._failed[arm.id])

    def _doubt(self, arm: Arm, ok: Sequence[Sample]) -> str | None:
        """Why the drafts cannot have made it faster, or why its text is not plain decoding's."""
        if not ok:
            return None
        launches = self._launches[arm.id]
        if arm.method != PLAIN_METHOD and (why := _idle(speculating_of(ok))) is not None:
            remark = next((launch.remark for launch in launches if launch.remark), None)
            return f"{why}; {remark}" if remark else why
        # Without a round in common with plain there is nothing to hold it against, nor a rate.
        plain = self._ok[self._plain.id]
        if {sample.round for sample in ok}.isdisjoint(sample.round for sample in plain):
            return None
        return _reason_against_text(self._lossless(ok))

    def readings(self, arm: Arm, workload: str) -> Iterator[Reading]:
        """Of the samples that no doubt spoils the goal's figure of."""
        samples = [sample for sample in self._ok[arm.id] if sample.workload == workload]
        speculates = arm.method != PLAIN_METHOD
        if speculates and self._is_silent(arm, workload):
            return
        # A step's cost is no part of TTFT, so nothing is told of the steps: the curve then goes by
        # the measured ratios alone.
        speculates = speculates and self.goal is not TuningGoal.TTFT
        steady = {sample.key for sample in self._doubts.sound(samples, Figure.ACCEPTANCE).samples}
        for sample in self._doubts.sound(samples, *SPOILED_BY[self.goal]).samples:
            rate = rate_of(self.goal, sample)
            if rate is not None:
                told = speculates and sample.key in steady
                before = share_before(self.goal, sample)
                name = PLAIN if arm is self._plain else arm.id
                yield _reading(name, sample, rate, before, told=told)

    def _lossless(self, samples: Sequence[Sample]) -> Lossless:
        return compare(
            samples,
            self._ok[self._plain.id],
            temperature=self._run.manifest.suite.temperature,
            probes=self._probes,
        )


def _reading(arm: str, sample: Sample, rate: float, before: float, *, told: bool) -> Reading:
    """`told`: what it says of its steps tells what a step costs."""
    tokens = steps = 0
    accepted: tuple[int, ...] = ()
    if told and sample.output_tokens and sample.steps and sample.steps > 1:
        tokens = sample.output_tokens - (sample.first_burst_tokens or 1)
        steps = sample.steps - 1
        accepted = sample.accepted_per_position or ()
    return Reading(
        arm=arm,
        round=sample.round,
        workload=sample.workload,
        prompt=sample.prompt,
        rate=rate,
        before=before,
        tokens=tokens,
        steps=steps,
        accepted=accepted,
    )


def _idle(found: Speculating) -> str | None:
    """Why drafts cannot have made anything faster; what is not exposed speaks for them."""
    if found.found_nothing:
        return "drafted nothing"
    if found.acceptance_rate == 0 or found.acceptance_length == 1:
        return "every drafted token was rejected"
    return None


def _reason_against_text(found: Lossless) -> str | None:
    """Why an arm's text is not plain decoding's; rounding may decide between nearly tied tokens."""
    if found.verdict is Verdict.NOT_COMPARABLE:
        return f"not known to be lossless: {found.reason}"
    if found.verdict is not Verdict.DIFFERENT:
        return None
    if not found.clear and found.near_ties >= MOST_PROBES:
        return None  # As many as are ever asked about turned out to be near-ties.
    what = f"not lossless: {found.differing} of {found.compared} answers differ from plain's"
    if found.clear:
        return f"{what}, {found.clear} of them where plain is not nearly tied"
    return f"{what}, and whether by a near-tie is not known: {found.unprobed_reason}"
