"""The answer of a tuning, as data: what to use, how sure that is, and what it stands on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.effect import Effect
from harness.analysis.lossless import Lossless
from harness.analysis.settings import setting_names
from harness.analysis.statistics import CONFIDENCE, LEAST_ROUNDS, Estimate, median_estimate
from harness.analysis.trial import TrialSummary
from harness.records import Arm
from harness.run_folder import RunData
from harness.spent import spent_s
from harness.tune.believe import beliefs, round_noise
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.readings import Known, read_known
from harness.tune.recommend import recommended, shared
from harness.tune.search import GRID_ROUNDS, Done, Measure, Outcome, Pick, next_step
from harness.tune.space import Space
from harness.tuning_goal import TuningGoal


@dataclass(frozen=True)
class Recommendation:
    """What to use for one workload."""

    workload: str
    outcome: Outcome
    arm: str
    """Its id; plain decoding's where that is best, or nothing is proven."""
    setting: str
    speedup: Estimate | None
    """In the goal's figure, above 1 for faster: of TTFT, plain's divided by the setting's. Of the
    setting; of an unproven outcome that of the best guess. None: nothing was measured."""
    guess: str | None
    """The setting that may be faster, of an unproven outcome."""
    guess_arm: str | None
    """Its id."""
    missing: str | None
    """What it would take to prove that."""
    alike: tuple[str, ...]
    """Settings that were measured and cannot be told apart from it."""
    expected: Estimate | None
    """The goal's figure: tokens per second, or seconds of TTFT. Median over the samples."""
    decode_rate: Estimate | None
    """Tokens per second to expect after the first burst, whatever the goal."""
    cached: int
    """Samples whose prompt came partly from a cache, so that their TTFT is not that of a whole
    prefill, and that could not be left out; 0 where the goal knows no prefill."""
    acceptance: float | None
    acceptance_length: float | None
    peak_memory: int | None
    lossless: Lossless | None
    """None for plain decoding."""
    command: str | None
    """What starts the setting by hand; None where it was never launched."""


@dataclass(frozen=True)
class ForAll:
    """One setting for all workloads."""

    arm: str
    setting: str
    regret: float
    """Share of the speed that it loses in its worst workload, against that workload's own best; of
    TTFT, speed is 1 / TTFT."""
    worst: str
    command: str | None
    """As a recommendation's."""


@dataclass(frozen=True)
class Prediction:
    """A setting that was measured, and what was expected of it without having measured it."""

    setting: str
    workload: str
    draft_tokens: int
    rounds: int
    speedup: Estimate
    predicted: float | None
    """The speed-up, by the curve through the other lengths of its family; None where there is no
    longer one, beyond which a curve says nothing."""


@dataclass(frozen=True)
class Against:
    """What there is against a setting."""

    setting: str
    reason: str


@dataclass(frozen=True)
class Card:
    """Everything that a tuning has to say."""

    goal: TuningGoal
    plain: str
    """The setting that all others are held against, which sentences call plain."""
    workloads: tuple[Recommendation, ...]
    """None where plain decoding itself could not be measured."""
    for_all: ForAll | None
    predictions: tuple[Prediction, ...]
    excluded: tuple[Against, ...]
    """What cannot be recommended, whatever its speed."""
    failed: tuple[Against, ...]
    """Settings of which some requests failed, too few for them to be excluded."""
    fault: str | None
    """Why plain decoding could not be measured."""
    complete: bool
    """Enough is known; else time ran out, or it was interrupted."""
    cut_off: bool
    """Something promised more, and the most rounds or launches were over."""
    rounds: int
    measured: int
    """Settings beside plain decoding that have figures …"""
    unmeasured: int
    """… and those that have none since the curve, or the time, was enough."""
    spent_s: float
    grid_s: float | None
    """About how long all settings would have taken over `GRID_ROUNDS` rounds."""


def make_card(run: RunData, rows: Sequence[TrialSummary]) -> Card:
    """Judge a tuning, finished or not; `rows` are those of its report."""
    known = read_known(run)
    evidence = known.evidence
    names = setting_names(run.manifest.arms)
    step = next_step(known.space, evidence)
    complete = isinstance(step, Done)
    done = step if complete else next_step(known.space, evidence, out_of_time=True)
    assert isinstance(done, Done)
    picks = () if known.fault is not None or not run.samples else done.picks
    own = {(row.arm.id, row.workload): row for row in rows}
    one = shared(known.space, evidence, picks) if picks else None
    arm = known.plain.id if one is None or one.arm == PLAIN else one.arm
    measured = {
        candidate.arm
        for candidate in known.space.candidates
        if any(evidence.speedup(candidate.arm, workload) for workload in known.space.workloads)
    }
    return Card(
        goal=known.goal,
        plain=names[known.plain.id],
        workloads=tuple(_recommendation(run, known, pick, own, names, step) for pick in picks),
        for_all=None
        if one is None
        else ForAll(arm, names[arm], one.regret, one.worst, _command(run, arm)),
        predictions=tuple(_predictions(known, evidence, names)),
        excluded=tuple(Against(names[one.arm], one.reason) for one in known.left_out),
        failed=tuple(Against(names[one.arm], one.reason) for one in known.failed),
        fault=known.fault,
        complete=complete,
        cut_off=done.cut_off,
        rounds=0 if known.fault else max((one.round for one in run.samples), default=0),
        measured=len(measured),
        unmeasured=len(known.space.candidates) - len(measured),
        spent_s=spent_s(run),
        grid_s=_grid_s(run, known),
    )


def _recommendation(  # noqa: PLR0917 - all that a card is made of
    run: RunData,
    known: Known,
    pick: Pick,
    rows: Mapping[tuple[str, str], TrialSummary],
    names: Mapping[str, str],
    step: Measure | Done,
) -> Recommendation:
    evidence = known.evidence
    chosen = recommended(known.space, evidence, pick)
    arm = known.plain.id if chosen == PLAIN else chosen
    guess = pick.arm if pick.outcome is Outcome.UNPROVEN and pick.arm != PLAIN else None
    row = rows.get((arm, pick.workload))
    alike = [other for other in (pick.arm, *pick.alike) if other not in (chosen, guess)]
    return Recommendation(
        workload=pick.workload,
        outcome=pick.outcome,
        arm=arm,
        setting=names[arm],
        speedup=_speedup(evidence, chosen, pick),
        guess=None if guess is None else names[guess],
        guess_arm=guess,
        missing=_missing(known, evidence, pick, step) if pick.outcome is Outcome.UNPROVEN else None,
        alike=() if pick.outcome is Outcome.PLAIN else tuple(names[a] for a in alike if a != PLAIN),
        expected=_expected(known, chosen, pick.workload),
        decode_rate=None if row is None else row.decode_rate,
        cached=0 if row is None or known.goal is TuningGoal.DECODE else row.cached,
        acceptance=None if row is None else row.speculating.acceptance_rate,
        acceptance_length=None if row is None else row.speculating.acceptance_length,
        peak_memory=None if row is None else row.peak_memory,
        lossless=None if row is None or chosen == PLAIN else row.lossless,
        command=_command(run, arm),
    )


def _speedup(evidence: Evidence, chosen: str, pick: Pick) -> Estimate | None:
    """Of what is recommended; where that is plain decoding, of the fastest beside it."""
    if chosen == PLAIN:
        if pick.speedup is None:
            return None
        return Estimate(pick.speedup, pick.interval, 0)
    effect = evidence.speedup(chosen, pick.workload)
    return None if effect is None else _estimate(effect)


def _estimate(effect: Effect) -> Estimate:
    return Estimate(effect.ratio, effect.interval(CONFIDENCE), effect.pairs)


def _expected(known: Known, chosen: str, workload: str) -> Estimate | None:
    rates = [one.rate for one in known.readings if (one.arm, one.workload) == (chosen, workload)]
    if known.goal is TuningGoal.TTFT:
        return median_estimate([1 / rate for rate in rates])
    return median_estimate(rates)


def _missing(known: Known, evidence: Evidence, pick: Pick, step: Measure | Done) -> str:
    """Why nothing is proven, in words."""
    if not known.space.candidates:
        return "no setting is left to choose from"
    if pick.speedup is None and isinstance(step, Done):
        return "no setting drafted anything that was accepted"
    if pick.arm == PLAIN:
        return "what was measured is not faster, and too little was: it needs more time"
    effect = evidence.speedup(pick.arm, pick.workload)
    rounds = 0 if effect is None else effect.rounds
    if rounds < LEAST_ROUNDS:
        return f"an interval needs {LEAST_ROUNDS} rounds, and it has {rounds}"
    if isinstance(step, Done):
        return f"{rounds} rounds do not prove it, and it differs too little for more of them"
    return f"{rounds} rounds do not prove it yet; it needs more time"


def _predictions(
    known: Known, evidence: Evidence, names: Mapping[str, str]
) -> Sequence[Prediction]:
    found = []
    for candidate in known.space.candidates:
        others = Evidence(reading for reading in known.readings if reading.arm != candidate.arm)
        for workload in known.space.workloads:
            effect = evidence.speedup(candidate.arm, workload)
            if effect is not None:
                found.append(
                    Prediction(
                        setting=names[candidate.arm],
                        workload=workload,
                        draft_tokens=candidate.draft_tokens,
                        rounds=effect.rounds,
                        speedup=_estimate(effect),
                        predicted=_predicted(known.space, others, candidate.arm, workload),
                    )
                )
    return found


def _predicted(space: Space, others: Evidence, arm: str, workload: str) -> float | None:
    belief = beliefs(space, others, workload, round_noise(space, others)).get(arm)
    return None if belief is None else math.exp(belief.mean)


def _command(run: RunData, arm: str) -> str | None:
    return next(
        (one.command for one in run.launches if one.arm == arm and one.status == "ok"), None
    )


def _grid_s(run: RunData, known: Known) -> float | None:
    """Of settings that were not measured, a round takes what the nearest one of the family took."""
    waited: dict[str, float] = defaultdict(float)
    for sample in run.samples:
        waited[sample.launch] += sample.wall_s
    taken: dict[str, list[float]] = defaultdict(list)
    for launch in run.launches:
        if waited[launch.id]:
            seconds = launch.start_s + launch.warmup_s + waited[launch.id]
            taken[launch.arm].append(seconds)
    means = {arm: fmean(seconds) for arm, seconds in taken.items()}
    if not means:
        return None
    typical = fmean(means.values())
    arms = {arm.id: arm for arm in run.manifest.arms if arm.impossible is None}
    families = {one.arm: one.family for one in known.space.candidates}

    def seconds_of(arm: Arm) -> float:
        if arm.id in means:
            return means[arm.id]
        near = [
            other
            for other in means
            if arm.id in families and families.get(other) == families[arm.id]
        ]
        if not near:
            return typical
        length = arm.draft_tokens or 0
        return means[min(near, key=lambda other: abs((arms[other].draft_tokens or 0) - length))]

    return GRID_ROUNDS * sum(map(seconds_of, arms.values()))
