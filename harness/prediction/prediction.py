"""What to expect of a model and its drafts on other hardware, from a run that was measured.

Acceptance belongs to the models and the text, and goes with them; the ceiling belongs to the
hardware's bandwidth; the share of the ceiling that is reached, and what a row of a verification
costs, are known from others' figures alone. Every figure has a range that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from harness.analysis.ceilings import arm_reads, used_bandwidth
from harness.analysis.step_costs import StepCost, step_costs
from harness.analysis.trial import TrialSummary
from harness.calculator.bandwidths import BandwidthsError, memory_of
from harness.prediction.costs import Cost, costs_of
from harness.prediction.errors import PredictionError
from harness.prediction.families import Family, Group, Held, groups_of
from harness.prediction.kinds import Kind, kind_of_card, kind_of_run
from harness.prediction.shares import Share, share_of
from harness.prediction.speedups import Lengthwise, Range, speedups
from harness.prediction.steps import Machine
from harness.records import Arm, Manifest
from harness.run_folder import RunData
from harness.theory.ceiling import Reads


@dataclass(frozen=True)
class Question:
    """What `bench predict` is asked, beside the run. Without hardware and bandwidth: how well the
    run's own machine would have been predicted."""

    hardware: str | None = None
    bandwidth: float | None = None
    """Bytes/s; goes before the hardware's nominal one."""
    verify_cost: float | None = None
    """Of each row more, in plain steps."""
    draft_cost: float | None = None
    """Of each drafted token, in plain steps."""

    @property
    def is_check(self) -> bool:
        return self.hardware is None and self.bandwidth is None


@dataclass(frozen=True)
class Target:
    """The hardware that is predicted for."""

    name: str
    kind: Kind
    bandwidth: float
    """Bytes/s."""
    origin: str
    memory_bytes: float | None
    share: Share


@dataclass(frozen=True)
class Measured:
    """What the run itself found at a place that is predicted."""

    rate: float | None
    speedup: float | None
    """None for plain."""


@dataclass(frozen=True)
class Setting:
    """One draft length."""

    draft_tokens: int
    figures: Lengthwise
    rate: Range
    """tok/s"""
    ceiling: float
    measured: Measured | None
    """In a check, where this length was measured."""


@dataclass(frozen=True)
class Outlook:
    """One family of settings on one workload."""

    name: str
    settings: tuple[Setting, ...]
    """By draft length, from 1 on; none where they are not known."""
    unknown: str | None
    held: tuple[Held, ...]
    prompts: int
    rounds: int
    costs: tuple[Cost, ...]
    best: int = 0
    """The draft length with the highest speed-up; 0: plain."""
    could_be_best: tuple[int, int] = (0, 0)
    """The shortest and the longest draft that is best somewhere within the error bars; 0: plain."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkloadOutlook:
    """One workload of one plain arm."""

    workload: str
    max_tokens: int
    plain: str
    """What tables call the plain arm."""
    model: str
    depth: float | None
    target: Target
    ceiling: float | None
    rate: Range | None
    """Of plain, tok/s; None with a reason."""
    unknown: str | None
    measured: Measured | None
    outlooks: tuple[Outlook, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """All that `bench predict` tells."""

    question: Question
    measured_on: str
    workloads: tuple[WorkloadOutlook, ...]
    notes: tuple[str, ...]


def predict(run: RunData, question: Question) -> Prediction:
    """What to expect.

    Raises:
        PredictionError: unknown hardware, a senseless figure, or nothing to predict from.
    """
    _check(question)
    elsewhere = None if question.is_check else _elsewhere(question)
    found = groups_of(run)
    if not found.groups:
        raise PredictionError(
            "the run has no plain arm to predict from"
            + (f": {found.notes[0]}" if found.notes else "")
        )
    costs = step_costs(run, found.rows)
    return Prediction(
        question=question,
        measured_on=_machine(run.manifest),
        workloads=tuple(
            _workload(run.manifest, question, elsewhere, group, costs) for group in found.groups
        ),
        notes=found.notes,
    )


def _check(question: Question) -> None:
    for flag, cost in (
        ("--verify-cost", question.verify_cost),
        ("--draft-cost", question.draft_cost),
    ):
        if cost is not None and not 0 <= cost < float("inf"):
            raise PredictionError(f"{flag}: a cost is 0 or more plain steps, not {cost}")


def _elsewhere(question: Question) -> Target:
    try:
        memory = memory_of(question.hardware, question.bandwidth)
    except BandwidthsError as error:
        raise PredictionError(str(error)) from error
    used = memory.used
    kind = Kind.OTHER if question.hardware is None else kind_of_card(used.hardware)
    return Target(
        used.hardware,
        kind,
        used.bytes_per_s,
        f"{used.kind}{f', {used.origin}' if used.origin and used.kind != 'given' else ''}",
        memory.total_bytes,
        share_of(kind),
    )


def _here(manifest: Manifest, arm: Arm) -> Target:
    used = used_bandwidth(manifest, arm)
    if used is None:
        raise PredictionError(
            "the memory bandwidth of the run's own machine is not known: name what to predict for "
            "with --hardware or --bandwidth"
        )
    kind = kind_of_run(manifest, arm)
    return Target(_machine(manifest), kind, used.bytes_per_s, used.origin, None, share_of(kind))


def _machine(manifest: Manifest) -> str:
    return ", ".join(gpu.name for gpu in manifest.machine.gpus) or manifest.machine.cpu


def _workload(
    manifest: Manifest,
    question: Question,
    elsewhere: Target | None,
    group: Group,
    costs: Sequence[StepCost],
) -> WorkloadOutlook:
    row = group.plain
    target = elsewhere or _here(manifest, row.arm)
    if (
        elsewhere is not None
        and row.ceiling_share
        and kind_of_run(manifest, row.arm) is target.kind
    ):
        # Of the same kind and the same model, it is better evidence than any other.
        target = _with_share(target, row.ceiling_share)
    known = None if group.depth is None else arm_reads(manifest, row.arm, group.depth)
    unknown = "token counts not exposed" if known is None else known.reason
    if row.failure is not None:
        unknown = f"plain decoding was not measured: {row.failure}"
    reads = None if known is None or unknown is not None else known.reads
    ceiling = None if reads is None else target.bandwidth / reads.of_pass(1)
    return WorkloadOutlook(
        workload=row.workload,
        max_tokens=row.max_tokens,
        plain=row.setting,
        model=PurePath(row.arm.model or "").name,
        depth=group.depth,
        target=target,
        ceiling=ceiling,
        rate=None if ceiling is None else Range(*target.share.rates(ceiling)),
        unknown=unknown,
        measured=_measured(row) if elsewhere is None else None,
        outlooks=tuple(
            _outlook(manifest, question, target, group, family, costs)
            for family in group.families
            if ceiling is not None
        ),
        notes=tuple(_plain_notes(manifest, row, target, ceiling)),
    )


def _with_share(target: Target, share: float) -> Target:
    held = target.share.holding(share, f"{share:.0%} as this run reached on its own machine")
    return Target(
        target.name, target.kind, target.bandwidth, target.origin, target.memory_bytes, held
    )


def _outlook(
    manifest: Manifest,
    question: Question,
    target: Target,
    group: Group,
    family: Family,
    costs: Sequence[StepCost],
) -> Outlook:
    own = [cost for cost in costs if cost.row.arm.method == family.arm.method]
    lines = costs_of(target.kind, question.verify_cost, own)
    known = arm_reads(manifest, family.arm, group.depth or 0)
    lengths, reads = family.lengths, known.reads
    if lengths is None or reads is None:
        return Outlook(
            family.name,
            (),
            family.unknown or known.reason,
            (),
            family.prompts,
            family.rounds,
            lines,
        )
    machine = Machine(target.bandwidth, target.share, lines, question.draft_cost)
    found = speedups(machine, reads, lengths, family.disagreement)
    rows = {row.arm.draft_tokens: row for row in family.rows}
    return Outlook(
        name=family.name,
        settings=tuple(
            _setting(
                target,
                reads,
                figures,
                rows.get(figures.draft_tokens) if question.is_check else None,
            )
            for figures in found.lengths
        ),
        unknown=None,
        held=family.held,
        prompts=family.prompts,
        rounds=family.rounds,
        costs=lines,
        best=found.best,
        could_be_best=found.could_be_best,
        notes=tuple(_family_notes(family)),
    )


def _setting(
    target: Target, reads: Reads, figures: Lengthwise, row: TrialSummary | None
) -> Setting:
    plain = target.share.rates(target.bandwidth / reads.of_pass(1))
    speedup = figures.speedup
    return Setting(
        draft_tokens=figures.draft_tokens,
        figures=figures,
        rate=Range(plain[0] * speedup.low, plain[1] * speedup.middle, plain[2] * speedup.high),
        ceiling=figures.tau.middle * target.bandwidth / figures.bytes_per_step,
        measured=None if row is None else _measured(row),
    )


def _measured(row: TrialSummary) -> Measured:
    return Measured(
        None if row.decode_rate is None else row.decode_rate.value,
        None if row.speedup is None else row.speedup.value,
    )


def _plain_notes(
    manifest: Manifest, row: TrialSummary, target: Target, ceiling: float | None
) -> Iterable[str]:
    if ceiling is not None and target.share.is_beyond(ceiling):
        yield (
            f"{row.workload}: no published rate has a ceiling above "
            f"{target.share.fastest_ceiling:.0f} tok/s, and this one is {ceiling:.0f}: what a step "
            "costs beside reading sets the pace there, so the range is wide, and costs in plain "
            "steps mean little"
        )
    held = next(
        (m.facts.tensor_bytes for m in manifest.models if m.path == row.arm.model and m.facts), 0
    )
    if target.memory_bytes is not None and held > target.memory_bytes:
        yield (
            f"{held / 1e9:.1f} GB of weights do not fit in {target.memory_bytes / 1e9:.1f} GB of "
            "memory: what does not fit is read over a slower bus, and none of this holds"
        )
    if row.doubtful is not None:
        yield f"{row.workload}, plain: doubtful, {row.doubtful}"


def _family_notes(family: Family) -> Iterable[str]:
    lengths = family.lengths
    if lengths is not None and not lengths.knows_prompts:
        count = f"{family.prompts} prompt{'s' if family.prompts != 1 else ''}"
        yield f"{count}: how much texts differ is not known, and the error bars leave it out"
    if family.doubtful:
        yield "most samples raise a doubt about their acceptance"
    if lengths is not None and lengths.drafted[-1] == 0:
        yield "nothing was drafted: there was nothing to look up in these texts"
