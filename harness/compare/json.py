"""A comparison for machines: one JSON object, numbers unrounded."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.analysis.statistics import Interval
from harness.compare.comparison import Comparison, Figures, Row
from harness.compare.side import SideTrial
from harness.manifest import version

SCHEMA: Literal[1] = 1


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class SideTold(_Told):
    name: str
    """As it was given on the command line."""
    created_at: str
    decodebench: str


class DifferenceTold(_Told):
    what: str
    baseline: str
    candidate: str
    forbids: bool
    """The comparison was made because of --force alone."""


class FiguresTold(_Told):
    """Of one side of one trial. null: not exposed, or nothing to make it of."""

    setting: str
    workload: str
    max_tokens: int
    samples: int
    """That succeeded, over the prompts that are compared."""
    failed: int
    left_out: int
    """Doubtful ones that the decode rate leaves out."""
    doubtful: bool
    """More than half are doubtful, so that none is left out."""
    decode_rate: float | None
    """Median, tokens per second."""
    ttft_s: float | None
    """Median, seconds."""
    acceptance_rate: float | None
    acceptance_length: float | None


class RatioTold(_Told):
    """The candidate's figure divided by the baseline's."""

    value: float
    low: float | None
    """Of the 95% interval; null with fewer than three rounds."""
    high: float | None


class AnswersTold(_Told):
    same: int
    compared: int


class TrialTold(_Told):
    name: str
    verdict: Literal["faster", "slower", "no difference", "cannot tell"]
    why: str | None
    """Why it cannot be told."""
    decode_rate: RatioTold | None
    rounds: int
    pairs: int
    ttft: RatioTold | None
    answers: AnswersTold | None
    """null where answers are sampled, drafts accepted by draw, or texts not known."""
    baseline: FiguresTold
    candidate: FiguresTold


class ComparisonTold(_Told):
    """What `bench compare --json` prints. A field is never taken away or given another meaning
    without another `schema_version`."""

    schema_version: Literal[1] = SCHEMA
    decodebench: str
    baseline: SideTold
    candidate: SideTold
    paired: bool
    """Both sides are of one run, round by round beside each other."""
    differences: tuple[DifferenceTold, ...]
    trials: tuple[TrialTold, ...]
    unmatched: tuple[str, ...]
    remarks: tuple[str, ...]


def told(comparison: Comparison) -> ComparisonTold:
    """The comparison in the form that is documented."""
    baseline, candidate = (
        SideTold(
            name=side.name,
            created_at=side.manifest.created_at,
            decodebench=side.manifest.decodebench,
        )
        for side in (comparison.baseline, comparison.candidate)
    )
    return ComparisonTold(
        decodebench=version(),
        baseline=baseline,
        candidate=candidate,
        paired=comparison.matching.paired,
        differences=tuple(
            DifferenceTold(
                what=one.what, baseline=one.baseline, candidate=one.candidate, forbids=one.forbids
            )
            for one in comparison.matching.differences
        ),
        trials=tuple(map(_trial, comparison.rows)),
        unmatched=comparison.matching.unmatched,
        remarks=comparison.remarks,
    )


def render(comparison: Comparison) -> str:
    """As text."""
    return json.dumps(told(comparison).model_dump(mode="json"), indent=2, ensure_ascii=False)


def _trial(row: Row) -> TrialTold:
    return TrialTold(
        name=row.match.name,
        verdict=row.verdict.value,
        why=row.why,
        decode_rate=None if row.effect is None else _ratio(row.effect.ratio, row.interval),
        rounds=0 if row.effect is None else row.effect.rounds,
        pairs=0 if row.effect is None else row.effect.pairs,
        ttft=None if row.ttft is None else _ratio(row.ttft.value, row.ttft.interval),
        answers=(
            None
            if row.answers is None
            else AnswersTold(same=row.answers.same, compared=row.answers.compared)
        ),
        baseline=_figures(row.match.baseline, row.baseline),
        candidate=_figures(row.match.candidate, row.candidate),
    )


def _ratio(value: float, interval: Interval | None) -> RatioTold:
    if interval is None:
        return RatioTold(value=value, low=None, high=None)
    return RatioTold(value=value, low=interval.low, high=interval.high)


def _figures(trial: SideTrial, figures: Figures) -> FiguresTold:
    return FiguresTold(
        setting=trial.setting,
        workload=trial.workload,
        max_tokens=trial.max_tokens,
        samples=figures.samples,
        failed=figures.failed,
        left_out=figures.left_out,
        doubtful=figures.doubtful,
        decode_rate=figures.decode_rate,
        ttft_s=figures.ttft_s,
        acceptance_rate=figures.speculating.acceptance_rate,
        acceptance_length=figures.speculating.acceptance_length,
    )
