"""The rows of a report as comma-separated numbers, unrounded; an empty cell is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from harness.analysis.doubt import cached
from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.side_by_side import SideBySide, SideRow
from harness.analysis.statistics import Estimate
from harness.analysis.trial import TrialSummary
from harness.report import escape

Value = str | int | float | bool | None
Row = TypeVar("Row")

COLUMNS: dict[str, Callable[[TrialSummary], Value]] = {
    "arm": lambda row: row.arm.id,
    "setting": lambda row: row.setting,
    "runner": lambda row: row.arm.runner,
    "model": lambda row: row.arm.model,
    "method": lambda row: row.arm.method,
    "draft_tokens": lambda row: row.arm.draft_tokens,
    "draft_model": lambda row: row.arm.draft_model,
    "synthetic": lambda row: row.arm.synthetic.label if row.arm.synthetic else None,
    "options": lambda row: "; ".join(f"{key}={value}" for key, value in row.arm.options),
    "baseline": lambda row: row.arm.baseline,
    "workload": lambda row: row.workload,
    "max_tokens": lambda row: row.max_tokens,
    "samples_ok": lambda row: row.ok,
    "samples_failed": lambda row: row.failed,
    "failure": lambda row: row.failure,
    "decode_rate": lambda row: _value(row.decode_rate),
    "decode_rate_low": lambda row: _low(row.decode_rate),
    "decode_rate_high": lambda row: _high(row.decode_rate),
    "decode_rate_at_least": lambda row: row.decode_bounds.low if row.decode_bounds else None,
    "decode_rate_at_most": lambda row: row.decode_bounds.high if row.decode_bounds else None,
    "speedup": lambda row: _value(row.speedup),
    "speedup_low": lambda row: _low(row.speedup),
    "speedup_high": lambda row: _high(row.speedup),
    "pairs": lambda row: None if row.speedup is None else row.speedup.count,
    "acceptance_rate": lambda row: row.speculating.acceptance_rate,
    "acceptance_length": lambda row: row.speculating.acceptance_length,
    "acceptance_rate_of_requests": lambda row: row.speculating.acceptance_rate_of_requests,
    "acceptance_length_of_requests": lambda row: row.speculating.acceptance_length_of_requests,
    "drafted_per_step": lambda row: row.speculating.drafted_per_step,
    "accepted_per_position": lambda row: "; ".join(
        map(repr, row.speculating.accepted_per_position or ())
    ),
    "tokens_per_burst": lambda row: row.tokens_per_burst,
    "ttft_s": lambda row: row.ttft_s,
    "samples_cached": lambda row: row.doubts.get(cached.MARK.name, 0),
    "prefill_rate": lambda row: row.prefill_rate,
    "peak_memory_bytes": lambda row: row.peak_memory,
    "lossless": lambda row: row.lossless.verdict.value,
    "lossless_compared": lambda row: row.lossless.compared,
    "lossless_differing": lambda row: row.lossless.differing,
    "lossless_near_ties": lambda row: row.lossless.near_ties,
    "lossless_unprobed": lambda row: row.lossless.unprobed,
    "first_difference": lambda row: row.lossless.first_difference,
    "decisive_difference": lambda row: row.lossless.decisive,
    "margin": lambda row: row.lossless.margin.value if row.lossless.margin else None,
    "margin_at_least": lambda row: row.lossless.margin.at_least if row.lossless.margin else None,
    "ceiling": lambda row: row.ceiling.rate,
    "ceiling_share": lambda row: row.ceiling_share,
    "loops": lambda row: row.loops,
    "samples_spoiled": lambda row: row.spoiled,
    "samples_left_out": lambda row: len(row.left_out),
    "doubts": lambda row: "; ".join(f"{name} {count}" for name, count in row.doubts.items()),
    "doubtful": lambda row: row.doubtful,
    "notes": lambda row: "; ".join(row.notes),
}
"""Column name -> its value. Names are stable: a column may be added, none renamed."""


SIDE_COLUMNS: dict[str, Callable[[tuple[SideBySide, SideRow]], Value]] = {
    "setting": lambda side: side[0].setting,
    "workload": lambda side: side[0].workload,
    "max_tokens": lambda side: side[0].max_tokens,
    "arm": lambda side: side[1].trial.arm.id,
    "counterpart": lambda side: side[1].trial.arm.counterpart,
    "runner": lambda side: side[1].trial.arm.runner,
    "model": lambda side: side[1].trial.arm.model,
    "weights": lambda side: side[1].weights,
    "failure": lambda side: side[1].trial.failure,
    "decode_rate": lambda side: _value(side[1].trial.decode_rate),
    "decode_rate_low": lambda side: _low(side[1].trial.decode_rate),
    "decode_rate_high": lambda side: _high(side[1].trial.decode_rate),
    "ratio": lambda side: _value(side[1].ratio),
    "ratio_low": lambda side: _low(side[1].ratio),
    "ratio_high": lambda side: _high(side[1].ratio),
    "pairs": lambda side: None if side[1].ratio is None else side[1].ratio.count,
    "acceptance_rate": lambda side: side[1].trial.speculating.acceptance_rate,
    "acceptance_length": lambda side: side[1].trial.speculating.acceptance_length,
    "same_text": lambda side: None if side[1].text is None else side[1].text.verdict.value,
    "same_text_reason": lambda side: None if side[1].text is None else side[1].text.reason,
    "same_text_compared": lambda side: _told(side[1].text, lambda text: text.compared),
    "same_text_differing": lambda side: _told(side[1].text, lambda text: text.differing),
    "same_text_near_ties": lambda side: _told(side[1].text, lambda text: text.near_ties),
    "same_text_unprobed": lambda side: _told(side[1].text, lambda text: text.unprobed),
    "first_difference": lambda side: _told(side[1].text, lambda text: text.first_difference),
    "decisive_difference": lambda side: _told(side[1].text, lambda text: text.decisive),
    "margin": lambda side: _told(side[1].text, lambda t: t.margin.value if t.margin else None),
    "margin_at_least": lambda side: _told(
        side[1].text, lambda t: t.margin.at_least if t.margin else None
    ),
    "prompts_compared": lambda side: side[1].prompts.compared if side[1].prompts else None,
    "prompts_differing": lambda side: side[1].prompts.differing if side[1].prompts else None,
    "ttft_s": lambda side: side[1].trial.ttft_s,
    "prefill_rate": lambda side: side[1].trial.prefill_rate,
    "peak_memory_bytes": lambda side: side[1].trial.peak_memory,
    "start_s": lambda side: side[1].start_s,
}
"""As `COLUMNS`, of a runner beside others."""


def render(rows: Sequence[TrialSummary]) -> str:
    """A header line and one line for each row."""
    return _table(rows, COLUMNS)


def render_side_by_side(groups: Sequence[SideBySide]) -> str:
    """A header line and one line for each runner in each setting."""
    return _table([(group, row) for group in groups for row in group.rows], SIDE_COLUMNS)


def _table(rows: Iterable[Row], columns: Mapping[str, Callable[[Row], Value]]) -> str:
    import pandas as pd  # noqa: PLC0415

    rows = list(rows)
    table = pd.DataFrame(
        {name: [_cell(value(row)) for row in rows] for name, value in columns.items()},
        # Otherwise whole numbers beside an empty cell would become fractions.
        dtype=object,
    )
    return table.to_csv(index=False, lineterminator="\n")


def _told(found: Lossless | None, value: Callable[[Lossless], Value]) -> Value:
    """What a comparison tells; nothing where there was none."""
    compared = found is not None and found.verdict is not Verdict.NOT_COMPARABLE
    return value(found) if found is not None and compared else None


def _cell(value: Value) -> Value:
    return escape.spreadsheet(value) if isinstance(value, str) else value


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _low(estimate: Estimate | None) -> float | None:
    return None if estimate is None or estimate.interval is None else estimate.interval.low


def _high(estimate: Estimate | None) -> float | None:
    return None if estimate is None or estimate.interval is None else estimate.interval.high
