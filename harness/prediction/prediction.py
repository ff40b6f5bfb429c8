"""What to expect of a model and its drafts on other hardware, from a run that was measured.

Acceptance belongs to the models and the text, and goes with them; the ceiling belongs to the
hardware's bandwidth; the share of the ceiling that is reached, and what a row of a verification
costs, are known from others' figures alone. Every figure has a range that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath

from harness.analysis.ceilings import arm_reads, used_bandwidth
from harness.analysis.statistics import Estimate
from harness.analysis.step_costs import StepCost, step_costs
from harness.analysis.trial import TrialSummary
from harness.calculator.bandwidths import BandwidthsError, memory_of
from harness.prediction.costs import costs_of
from harness.prediction.errors import PredictionError
from harness.prediction.families import Family, Group, groups_of
from harness.prediction.kinds import Kind, kind_of_card, kind_of_run
from harness.prediction.outlook import (
    Measured,
    Outlook,
    Prediction,
    Question,
    Setting,
    Target,
    WorkloadOutlook,
)
from harness.prediction.shares import share_of
from harness.prediction.speedups import Lengthwise, Range, product, speedups
from harness.prediction.steps import Machine
from harness.records import Arm, Manifest
from harness.run_folder import RunData
from harness.theory.ceiling import Reads

DEAREST = 1000
"""Plain steps for one row or one draft: more is a typing error."""


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
    if all(group.plain.failure is not None for group in found.groups):
        raise PredictionError(
            f"plain decoding has no samples to predict from: {found.groups[0].plain.failure}"
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
        if cost is not None and not 0 <= cost <= DEAREST:
            raise PredictionError(f"{flag}: a cost is 0 to {DEAREST} plain steps, not {cost}")


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
    if elsewhere is not None and kind_of_run(manifest, row.arm) is target.kind:
        # Of the same kind and the same model, it is better evidence than any other.
        target = _with_own_share(target, row)
    known = None if group.depth is None else arm_reads(manifest, row.arm, group.depth)
    unknown = "token counts not exposed" if known is None else known.reason
    if row.failure is not None:
        unknown = f"plain decoding has no samples: {row.failure}"
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
            _outlook(manifest, question, target, depth=group.depth or 0, family=family, costs=costs)
            for family in group.families
            if ceiling is not None
        ),
        notes=tuple(_plain_notes(manifest, row, target, ceiling)),
    )


def _with_own_share(target: Target, row: TrialSummary) -> Target:
    """Widened to hold what the run itself reached; above the published ceilings, only by a rate
    that is below all that others reached there."""
    if row.decode_rate is None or row.ceiling.rate is None:
        return target
    share = row.decode_rate.value / min(row.ceiling.rate, target.share.fastest_ceiling)
    if not target.share.is_beyond(row.ceiling.rate):
        # Above 1 the weights were in a cache, which another machine need not have.
        share = min(share, 1.0)
    if share > target.share.high and target.share.is_beyond(row.ceiling.rate):
        return target
    words = f"{row.decode_rate.value:.0f} tok/s under {row.ceiling.rate:.0f}, as this run reached"
    return replace(target, share=target.share.holding(share, words))


def _outlook(
    manifest: Manifest,
    question: Question,
    target: Target,
    *,
    depth: float,
    family: Family,
    costs: Sequence[StepCost],
) -> Outlook:
    alike = (family.arm.runner, family.arm.method)
    own = [cost for cost in costs if (cost.row.arm.runner, cost.row.arm.method) == alike]
    known = arm_reads(manifest, family.arm, depth)
    lengths, reads = family.lengths, known.reads
    lines = costs_of(
        target.kind,
        question.verify_cost,
        own,
        short_steps=reads is not None
        and target.share.is_beyond(target.bandwidth / reads.of_pass(1)),
    )
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
    machine = Machine(
        target.bandwidth,
        target.share,
        lines,
        question.draft_cost,
        drafts_apart=family.arm.method != "mtp",
    )
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
    plain = Range(*target.share.rates(target.bandwidth / reads.of_pass(1)))
    rate = product(plain, figures.speedup)
    of_a_token = target.bandwidth / figures.bytes_per_step
    return Setting(
        figures=figures,
        rate=replace(rate, high=min(rate.high, figures.tau.high * of_a_token)),
        ceiling=figures.tau.middle * of_a_token,
        measured=None if row is None else _measured(row),
    )


def _measured(row: TrialSummary) -> Measured:
    return Measured(
        None if row.decode_rate is None else _range(row.decode_rate),
        None if row.speedup is None else _range(row.speedup),
    )


def _range(estimate: Estimate) -> Range:
    ends = estimate.interval
    value = estimate.value
    return Range(value, value, value) if ends is None else Range(ends.low, value, ends.high)


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
    if family.prompts == 1:
        yield "one prompt: how much texts differ is not known, so its acceptance could be any"
    if family.prompts == 2:
        yield "two prompts hardly say how much texts differ, so the error bars are very wide"
    if family.doubtful:
        yield "most samples raise a doubt about their acceptance"
    if lengths is not None and lengths.drafted[-1] == 0:
        yield "nothing was drafted: there was nothing to look up in these texts"
    elif lengths is not None and lengths.taus[-1] == 1:
        yield "nothing was accepted in these texts"
