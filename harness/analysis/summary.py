"""One row for each trial: what every report format prints and nothing computes again."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.ceilings import Ceiling, Measured, mean_depth, trial_ceiling
from harness.analysis.doubt import cached, loop
from harness.analysis.doubt.judge import MARKS, Doubts, judge
from harness.analysis.doubt.mark import Figure
from harness.analysis.lossless import (
    VOID,
    Lossless,
    Probes,
    compare,
    not_comparable,
)
from harness.analysis.notes import doubtful, failure_of, notes_of
from harness.analysis.settings import setting_names
from harness.analysis.speculating import Speculating, speculating_of
from harness.analysis.statistics import (
    Interval,
    geometric_mean_estimate,
    median,
    median_estimate,
)
from harness.analysis.trial import Trial, TrialSummary, by_place
from harness.differences import forks_to_probe
from harness.pairing import ratios
from harness.records import Arm, Sample
from harness.run_folder import RunData
from harness.theory.ceiling import utilisation
from runners.base.speculation import PLAIN, parts_of


def summarise(run: RunData, doubts: Doubts | None = None) -> tuple[TrialSummary, ...]:
    """Every trial that the manifest planned, by workload, max_tokens and arm.

    A trial that failed, or that an interrupted run never came to, is a row too. Figures leave out
    the samples that a doubt spoils for them. `doubts`: those that were found while the answers
    were there, of a run without them; None: the run is judged now.
    """
    marks = (judge(run) if doubts is None else doubts).marks
    names = setting_names(run.manifest.arms)
    drafting = {s.arm for s in run.samples if s.status == "ok" and s.drafted != 0}
    samples = by_place(run.samples)
    workloads = dict.fromkeys(prompt.workload for prompt in run.manifest.prompts)
    probes = probes_of(run)
    return tuple(
        _summarise_trial(
            run,
            probes,
            Trial(
                arm=arm,
                setting=names[arm.id],
                workload=workload,
                max_tokens=max_tokens,
                samples=samples[arm.id, workload, max_tokens],
                plain=samples[arm.baseline, workload, max_tokens],
                launches=[launch for launch in run.launches if launch.arm == arm.id],
                drafts_elsewhere=arm.id in drafting,
                marks=marks,
            ),
        )
        for workload in workloads
        for max_tokens in run.manifest.suite.max_tokens
        for arm in run.arms
    )


def probes_of(run: RunData) -> Probes:
    """The probes of a run, and the places that it chose."""
    places = forks_to_probe(
        run.manifest.arms,
        run.samples,
        temperature=run.manifest.suite.temperature,
        of_all=run.tuned_from,
    )
    return Probes({probe.key: probe for probe in run.probes}, {place.key for place in places})


def _summarise_trial(run: RunData, probes: Probes, trial: Trial) -> TrialSummary:
    arm, ok = trial.arm, trial.ok
    row = TrialSummary(
        arm=arm,
        setting=trial.setting,
        workload=trial.workload,
        max_tokens=trial.max_tokens,
        ok=len(ok),
        failed=len(trial.failed),
        failure=failure_of(
            arm, trial.samples, trial.launches, drafts_elsewhere=trial.drafts_elsewhere
        ),
        decode_rate=None,
        decode_bounds=None,
        speedup=None,
        speculating=Speculating(),
        tokens_per_burst=None,
        ttft_s=None,
        cached=0,
        prefill_rate=None,
        peak_memory=None,
        lossless=not_comparable("the setting failed"),
        ceiling=Ceiling(None, "the setting failed"),
        ceiling_share=None,
        loops=0,
        doubts={},
        spoiled=0,
        left_out=(),
        doubtful=None,
        notes=(),
    )
    if row.failure is not None:
        return row
    counts = trial.counts()
    doubts = {mark.name: counts[mark] for mark in MARKS if counts[mark]}
    timed, waited = trial.sound(Figure.RATE), trial.sound(Figure.TTFT).samples
    speculating = _speculating(arm, trial.sound(Figure.ACCEPTANCE).samples)
    measured = Measured(mean_depth(ok), speculating.acceptance_length, speculating.drafted_per_step)
    decode_rate = median_estimate(
        [s.decode_rate for s in timed.samples if s.decode_rate is not None]
    )
    ceiling = trial_ceiling(run, arm, measured)
    gains = ratios(timed.samples, trial.sound_plain(Figure.RATE).samples)
    row = replace(
        row,
        decode_rate=decode_rate,
        decode_bounds=_decode_bounds(timed.samples),
        speedup=None if arm.is_baseline else geometric_mean_estimate(gains),
        speculating=speculating,
        tokens_per_burst=(
            None
            if arm.method == PLAIN or speculating.acceptance_length is not None
            else _tokens_per_burst(ok)
        ),
        ttft_s=median([s.ttft_s for s in waited if s.ttft_s is not None]),
        cached=sum(cached.is_cached(sample) for sample in waited),
        prefill_rate=median(_prefill_rates(waited)),
        peak_memory=max(
            (
                s.runner_peak_memory
                for s in trial.sound(Figure.MEMORY).samples
                if s.runner_peak_memory is not None
            ),
            default=None,
        ),
        lossless=_lossless(run, probes, trial),
        ceiling=ceiling,
        ceiling_share=(
            utilisation(decode_rate.value, ceiling.rate) if decode_rate and ceiling.rate else None
        ),
        loops=doubts.get(loop.MARK.name, 0),
        doubts=doubts,
        spoiled=len(timed.spoiled),
        left_out=() if timed.doubtful else tuple(sample.key for sample in timed.spoiled),
        doubtful=doubtful(trial),
    )
    return replace(row, notes=notes_of(row, trial))


def _speculating(arm: Arm, ok: Sequence[Sample]) -> Speculating:
    if arm.method == PLAIN:
        return Speculating()
    # Of a chain, the length bounds the drafts of one of its parts.
    return speculating_of(ok, arm.draft_tokens if len(parts_of(arm.method)) == 1 else None)


def _lossless(run: RunData, probes: Probes, trial: Trial) -> Lossless:
    if trial.arm.synthetic is not None:
        return not_comparable(VOID)
    return compare(
        trial.ok,
        _round_before(trial.ok) if trial.arm.is_baseline else trial.plain,
        temperature=run.manifest.suite.temperature,
        probes=probes,
    )


def _decode_bounds(samples: Sequence[Sample]) -> Interval | None:
    """Between what the median of the decode rates lies, where first bursts hold an unknown count.

    A first burst holds one token at least, and none of its tokens was generated after it.
    """
    if all(sample.first_burst_at_most is None for sample in samples):
        return None
    low, high = [], []
    for s in samples:
        if s.decode_rate is None:
            continue
        most, least = s.first_burst_at_most, 1
        if most is None or s.output_tokens is None or not s.decode_s:
            low.append(s.decode_rate)
            high.append(s.decode_rate)
        else:
            low.append((s.output_tokens - most) / s.decode_s)
            high.append((s.output_tokens - least) / s.decode_s)
    return Interval(statistics.median(low), statistics.median(high)) if low else None


def _tokens_per_burst(samples: Sequence[Sample]) -> float | None:
    later = sum(len(s.bursts) - 1 for s in samples if s.bursts)
    tokens = sum(sum(count for _, count in s.bursts[1:]) for s in samples)
    return tokens / later if later else None


def _prefill_rates(samples: Iterable[Sample]) -> list[float]:
    return [
        (s.prompt_tokens - s.cached_tokens) / s.runner_prefill_s
        for s in samples
        if s.prompt_tokens is not None
        and s.cached_tokens is not None
        and s.prompt_tokens > s.cached_tokens
        and s.runner_prefill_s
    ]


def _round_before(samples: Sequence[Sample]) -> list[Sample]:
    """Each sample moved one round on, so that it pairs with the next round's."""
    return [sample.model_copy(update={"round": sample.round + 1}) for sample in samples]
