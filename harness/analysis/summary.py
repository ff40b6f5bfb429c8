"""One row for each trial: what every report format prints and nothing computes again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.analysis.ceilings import Ceiling, Measured, trial_ceiling
from harness.analysis.doubt import count_marks
from harness.analysis.loops import find_loop
from harness.analysis.lossless import Lossless, Verdict, compare
from harness.analysis.pairing import ratios
from harness.analysis.settings import setting_names
from harness.analysis.statistics import (
    Estimate,
    geometric_mean_estimate,
    median,
    median_estimate,
)
from harness.records import Arm, Launch, Sample
from harness.run_folder import RunData
from harness.theory.ceiling import utilisation


@dataclass(frozen=True)
class Speculating:
    """How the drafts of some samples fared, added up over all of their steps."""

    acceptance_rate: float | None = None
    """accepted / drafted."""
    acceptance_length: float | None = None
    """Tokens a decode step: the step that ended the prefill, and its token, are left out."""
    drafted_per_step: float | None = None
    accepted_per_position: tuple[float, ...] | None = None
    """Share of the decode steps in which the draft's token 0, 1, … was accepted."""

    @property
    def found_nothing(self) -> bool:
        """Nothing was drafted: text that never repeats itself gives n-grams nothing to find."""
        return self.drafted_per_step == 0


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
    return tuple(
        _summarise_trial(
            run,
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


def _summarise_trial(run: RunData, trial: _Trial) -> TrialSummary:
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
        lossless=Lossless(Verdict.NOT_COMPARABLE, reason="the setting failed"),
        ceiling=Ceiling(None, "the setting failed"),
        ceiling_share=None,
        loops=0,
        notes=(),
    )
    if row.failure is not None:
        return row
    speculating = Speculating() if arm.method == "none" else _speculating(ok)
    measured = Measured(_depth(ok), speculating.acceptance_length, speculating.drafted_per_step)
    reference = _round_before(ok) if arm.is_plain else trial.plain
    decode_rate = median_estimate([s.decode_rate for s in ok if s.decode_rate is not None])
    ceiling = trial_ceiling(run, arm, measured)
    row = replace(
        row,
        decode_rate=decode_rate,
        speedup=None if arm.is_plain else geometric_mean_estimate(ratios(ok, trial.plain)),
        speculating=speculating,
        ttft_s=median([s.ttft_s for s in ok if s.ttft_s is not None]),
        prefill_rate=median(_prefill_rates(ok)),
        peak_memory=max(
            (s.runner_peak_memory for s in ok if s.runner_peak_memory is not None), default=None
        ),
        lossless=compare(ok, reference, temperature=run.manifest.suite.temperature),
        ceiling=ceiling,
        ceiling_share=(
            utilisation(decode_rate.value, ceiling.rate) if decode_rate and ceiling.rate else None
        ),
        loops=sum(find_loop(sample) is not None for sample in ok),
    )
    return replace(row, notes=_notes(row, trial))


def _failure(trial: _Trial) -> str | None:
    ok, method = trial.ok, trial.arm.method
    if ok:
        # A lookup may find nothing in one kind of text; drafts made by a model are always there.
        silent = not trial.drafts_elsewhere or not method.startswith("ngram")
        if method != "none" and silent and all(sample.drafted == 0 for sample in ok):
            return f"asked for {method}, drafted nothing in {_requests(len(ok))}"
        return None
    if trial.failed:
        return _reasons(trial.failed)
    # A launch's reason is a whole sentence: 'it did not start: …', 'the warm-up request failed: …'.
    return _reasons(trial.lost) if trial.lost else "not measured"


def _notes(row: TrialSummary, trial: _Trial) -> tuple[str, ...]:
    ok, failed, lost = trial.ok, trial.failed, trial.lost
    notes = []
    if failed:
        notes.append(f"{len(failed)} of {len(trial.samples)} failed: {_reasons(failed)}")
    if lost:
        notes.append(f"{len(lost)} of {len(trial.launches)} launches failed: {_reasons(lost)}")
    if row.decode_rate is None:
        notes.append("every answer came in one burst, which has no decode rate")
    elif not row.arm.is_plain and row.speedup is None:
        notes.append("no plain sample of the same round and prompt to compare with")
    if row.speculating.found_nothing:
        notes.append(f"drafted nothing in {_requests(len(ok))}: this text has nothing to look up")
    if row.speculating.acceptance_rate == 0:
        notes.append("every drafted token was rejected")
    if row.arm.is_plain and row.lossless.verdict is Verdict.DIFFERENT:
        notes.append(
            f"plain decoding does not repeat itself: {row.lossless.differing} of "
            f"{row.lossless.compared} answers differ from the round before"
        )
    if row.loops:
        notes.append(f"{row.loops} of {len(ok)} answers end in a loop, which is easy to draft")
    notes += [f"{count} of {len(ok)}: {mark.value}" for mark, count in count_marks(ok).items()]
    if row.ceiling_share is not None and row.ceiling_share > 1:
        notes.append("faster than its ceiling: the bandwidth or the bytes per token are too low")
    return tuple(notes)


def _speculating(samples: Sequence[Sample]) -> Speculating:
    with_drafts = [
        (s.accepted, s.drafted) for s in samples if s.accepted is not None and s.drafted is not None
    ]
    with_steps = [
        (s.output_tokens - s.first_burst_tokens, s.steps)
        for s in samples
        if s.output_tokens is not None and s.first_burst_tokens is not None and s.steps is not None
    ]
    with_both = [
        (s.drafted, _drafting_steps(s))
        for s in samples
        if s.drafted is not None and s.steps is not None
    ]
    with_positions = [
        (s.accepted_per_position, _drafting_steps(s))
        for s in samples
        if s.accepted_per_position is not None and s.steps is not None
    ]
    return Speculating(
        acceptance_rate=_share(
            sum(accepted for accepted, _ in with_drafts), sum(drafted for _, drafted in with_drafts)
        ),
        acceptance_length=_share(
            sum(tokens for tokens, _ in with_steps), sum(steps - 1 for _, steps in with_steps)
        ),
        drafted_per_step=_share(
            sum(drafted for drafted, _ in with_both), sum(steps for _, steps in with_both)
        ),
        accepted_per_position=_positions(
            [positions for positions, _ in with_positions],
            sum(steps for _, steps in with_positions),
        ),
    )


def _drafting_steps(sample: Sample) -> int:
    """Steps that could draft: the one that ends the prefill only if it yielded several tokens."""
    return (sample.steps or 0) - (0 if (sample.first_burst_tokens or 1) > 1 else 1)


def _positions(counts: Sequence[tuple[int, ...]], steps: int) -> tuple[float, ...] | None:
    if steps <= 0:
        return None
    width = max(map(len, counts))
    return tuple(
        sum(count[position] for count in counts if position < len(count)) / steps
        for position in range(width)
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


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
    counts = Counter(record.reason or "no reason given" for record in records)
    (reason, _), *others = counts.most_common()
    return f"{reason} (further reasons: {len(others)})" if others else reason


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
