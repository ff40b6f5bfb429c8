"""One row for each trial: what every report format prints and nothing computes again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.analysis.ceilings import Ceiling, Measured, trial_ceiling
from harness.analysis.doubt import count_marks
from harness.analysis.loops import find_loop
from harness.analysis.lossless import (
    VOID,
    Lossless,
    Probes,
    Verdict,
    compare,
    not_comparable,
)
from harness.analysis.settings import setting_names
from harness.analysis.speculating import Speculating, speculating_of
from harness.analysis.statistics import (
    Estimate,
    geometric_mean_estimate,
    median,
    median_estimate,
)
from harness.differences import forks_to_probe
from harness.pairing import ratios
from harness.records import Arm, Launch, Sample
from harness.run_folder import RunData
from harness.theory.ceiling import utilisation
from runners.base.speculation import parts_of

NOT_MEASURED = "not measured"
"""The failure of a trial that an interrupted run never came to."""


@dataclass(frozen=True)
class TrialSummary:
    """One arm on one workload at one `max_tokens`. None: not exposed, or nothing to make it of."""

    arm: Arm
    setting: str
    """What tables call the arm; unique in the run."""
    workload: str
    max_tokens: int
    ok: int
    """Samples that succeeded; the figures are made of these."""
    failed: int
    failure: str | None
    """Why the trial has no figures; None for one that has."""
    decode_rate: Estimate | None
    """Median over the samples, tokens per second."""
    speedup: Estimate | None
    """Geometric mean of the ratios to the plain arm of the same baseline; None for plain."""
    speculating: Speculating
    ttft_s: float | None
    """Median seconds to the first token."""
    prefill_rate: float | None
    """Median uncached prompt tokens per second, by the runner's clock."""
    peak_memory: int | None
    """Bytes, the largest of the samples."""
    lossless: Lossless
    """For a plain arm: its answers against its own of the round before."""
    ceiling: Ceiling
    ceiling_share: float | None
    """Decode rate / ceiling: 1 is all that the memory allows."""
    loops: int
    """Answers that end in a loop."""
    notes: tuple[str, ...]


def summarise(run: RunData) -> tuple[TrialSummary, ...]:
    """Every trial that the manifest planned, by workload, max_tokens and arm.

    A trial that failed, or that an interrupted run never came to, is a row too.
    """
    names = setting_names(run.manifest.arms)
    drafting = {s.arm for s in run.samples if s.status == "ok" and s.drafted != 0}
    samples: dict[tuple[str, str, int], list[Sample]] = defaultdict(list)
    for sample in sorted(run.samples, key=lambda sample: sample.sequence):
        samples[sample.arm, sample.workload, sample.max_tokens].append(sample)
    workloads = dict.fromkeys(prompt.workload for prompt in run.manifest.prompts)
    probes = probes_of(run)
    return tuple(
        _summarise_trial(
            run,
            probes,
            _Trial(
                arm=arm,
                setting=names[arm.id],
                workload=workload,
                max_tokens=max_tokens,
                samples=samples[arm.id, workload, max_tokens],
                plain=samples[arm.baseline, workload, max_tokens],
                launches=[launch for launch in run.launches if launch.arm == arm.id],
                drafts_elsewhere=arm.id in drafting,
            ),
        )
        for workload in workloads
        for max_tokens in run.manifest.suite.max_tokens
        for arm in run.manifest.arms
    )


def probes_of(run: RunData) -> Probes:
    """The probes of a run, and the places that it chose."""
    places = forks_to_probe(
        run.manifest.arms, run.samples, temperature=run.manifest.suite.temperature
    )
    return Probes({probe.key: probe for probe in run.probes}, {place.key for place in places})


@dataclass(frozen=True)
class _Trial:
    """The records that one row is made of."""

    arm: Arm
    setting: str
    workload: str
    max_tokens: int
    samples: Sequence[Sample]
    plain: Sequence[Sample]
    launches: Sequence[Launch]
    drafts_elsewhere: bool
    """Some sample of the arm, perhaps on another workload, drafted something or does not tell."""

    @property
    def ok(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.status == "ok"]

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.status == "failed"]

    @property
    def lost(self) -> list[Launch]:
        return [launch for launch in self.launches if launch.status == "failed"]


def _summarise_trial(run: RunData, probes: Probes, trial: _Trial) -> TrialSummary:
    arm, ok = trial.arm, trial.ok
    row = TrialSummary(
        arm=arm,
        setting=trial.setting,
        workload=trial.workload,
        max_tokens=trial.max_tokens,
        ok=len(ok),
        failed=len(trial.failed),
        failure=_failure(trial),
        decode_rate=None,
        speedup=None,
        speculating=Speculating(),
        ttft_s=None,
        prefill_rate=None,
        peak_memory=None,
        lossless=not_comparable("the setting failed"),
        ceiling=Ceiling(None, "the setting failed"),
        ceiling_share=None,
        loops=0,
        notes=(),
    )
    if row.failure is not None:
        return row
    speculating = _speculating(arm, ok)
    measured = Measured(_depth(ok), speculating.acceptance_length, speculating.drafted_per_step)
    decode_rate = median_estimate([s.decode_rate for s in ok if s.decode_rate is not None])
    ceiling = trial_ceiling(run, arm, measured)
    row = replace(
        row,
        decode_rate=decode_rate,
        speedup=None if arm.is_baseline else geometric_mean_estimate(ratios(ok, trial.plain)),
        speculating=speculating,
        ttft_s=median([s.ttft_s for s in ok if s.ttft_s is not None]),
        prefill_rate=median(_prefill_rates(ok)),
        peak_memory=max(
            (s.runner_peak_memory for s in ok if s.runner_peak_memory is not None), default=None
        ),
        lossless=_lossless(run, probes, trial),
        ceiling=ceiling,
        ceiling_share=(
            utilisation(decode_rate.value, ceiling.rate) if decode_rate and ceiling.rate else None
        ),
        loops=0 if arm.synthetic else sum(find_loop(sample) is not None for sample in ok),
    )
    return replace(row, notes=_notes(row, trial))


def _speculating(arm: Arm, ok: Sequence[Sample]) -> Speculating:
    if arm.method == "none":
        return Speculating()
    # Of a chain, the length bounds the drafts of one of its parts.
    return speculating_of(ok, arm.draft_tokens if len(parts_of(arm.method)) == 1 else None)


def _lossless(run: RunData, probes: Probes, trial: _Trial) -> Lossless:
    if trial.arm.synthetic is not None:
        return not_comparable(VOID)
    return compare(
        trial.ok,
        _round_before(trial.ok) if trial.arm.is_baseline else trial.plain,
        temperature=run.manifest.suite.temperature,
        probes=probes,
    )


def _failure(trial: _Trial) -> str | None:
    ok, method = trial.ok, trial.arm.method
    if trial.arm.impossible is not None:
        return trial.arm.impossible
    if ok:
        # A lookup may find nothing in one kind of text; drafts made by a model are always there.
        looks_up = all(part.startswith("ngram") for part in parts_of(method))
        silent = not (trial.drafts_elsewhere and looks_up)
        if method != "none" and silent and all(sample.drafted == 0 for sample in ok):
            found = f"asked for {method}, drafted nothing in {_requests(len(ok))}"
            remarks = [launch.remark for launch in trial.launches if launch.remark is not None]
            return f"{found}; {_most_frequent(remarks)}" if remarks else found
        return None
    if trial.failed:
        return _reasons(trial.failed)
    # A launch's reason is a whole sentence: 'it did not start: …', 'the warm-up request failed: …'.
    return _reasons(trial.lost) if trial.lost else NOT_MEASURED


def _notes(row: TrialSummary, trial: _Trial) -> tuple[str, ...]:
    ok, failed, lost = trial.ok, trial.failed, trial.lost
    notes = []
    if failed:
        notes.append(f"{len(failed)} of {len(trial.samples)} failed: {_reasons(failed)}")
    if lost:
        notes.append(f"{len(lost)} of {len(trial.launches)} launches failed: {_reasons(lost)}")
    notes += _doubts_of_the_runner(trial)
    if row.decode_rate is None:
        notes.append(_without_rate(ok))
    elif not row.arm.is_baseline and row.speedup is None:
        notes.append("no plain sample of the same round and prompt to compare with")
    if row.speculating.found_nothing:
        notes.append(f"drafted nothing in {_requests(len(ok))}: this text has nothing to look up")
    if row.speculating.acceptance_rate == 0 and row.arm.synthetic is None:
        notes.append("every drafted token was rejected")
    if row.arm.is_baseline and row.lossless.verdict in (Verdict.DIFFERENT, Verdict.NEAR_TIE):
        notes.append(
            f"plain decoding does not repeat itself: {row.lossless.differing} of "
            f"{row.lossless.compared} answers differ from the round before"
        )
    if row.loops:
        notes.append(
            f"{row.loops} of {len(ok)} answers end in a loop: easy to draft, so acceptance is "
            "higher than on other text"
        )
    notes += [f"{count} of {len(ok)}: {mark.value}" for mark, count in count_marks(ok).items()]
    if row.ceiling_share is not None and row.ceiling_share > 1:
        notes.append("faster than its ceiling: the bandwidth or the bytes per token are too low")
    return tuple(notes)


def _without_rate(ok: Sequence[Sample]) -> str:
    if all(len(sample.bursts) < 2 for sample in ok):
        return "every answer came in one burst, which has no decode rate"
    return (
        "no decode rate: the bursts of each answer were read at one moment, by a client that "
        "could not keep up"
    )


def _doubts_of_the_runner(trial: _Trial) -> list[str]:
    """What the runner's own records say against the row."""
    asked = trial.arm.draft_tokens
    limits = [launch.draft_limit for launch in trial.launches if launch.draft_limit is not None]
    disagreements = [launch.disagreement for launch in trial.launches if launch.disagreement]
    notes = [] if trial.arm.shortened is None else [trial.arm.shortened]
    if asked is not None and limits and min(limits) < asked:
        notes.append(f"asked for k={asked}, the runner drafts at most {min(limits)}")
    if disagreements:
        notes.append(
            f"the runner's records disagree in {len(disagreements)} of {len(trial.launches)} "
            f"launches, so acceptance is doubtful: {_most_frequent(disagreements)}"
        )
    return notes


def _depth(samples: Sequence[Sample]) -> float | None:
    depths = [
        s.prompt_tokens + s.output_tokens / 2
        for s in samples
        if s.prompt_tokens is not None and s.output_tokens is not None
    ]
    return sum(depths) / len(depths) if depths else None


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


def _reasons(records: Sequence[Sample] | Sequence[Launch]) -> str:
    """The most frequent reason, and how many others there are."""
    return _most_frequent([record.reason or "no reason given" for record in records])


def _most_frequent(texts: Sequence[str]) -> str:
    (text, _), *others = Counter(texts).most_common()
    return f"{text} (further reasons: {len(others)})" if others else text


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
