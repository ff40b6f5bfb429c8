"""The summary rows as comma-separated numbers, unrounded; an empty cell is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.statistics import Estimate
from harness.analysis.summary import TrialSummary
from harness.report import escape

Value = str | int | float | bool | None

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
    "speedup": lambda row: _value(row.speedup),
    "speedup_low": lambda row: _low(row.speedup),
    "speedup_high": lambda row: _high(row.speedup),
    "pairs": lambda row: None if row.speedup is None else row.speedup.count,
    "acceptance_rate": lambda row: row.speculating.acceptance_rate,
    "acceptance_length": lambda row: row.speculating.acceptance_length,
    "drafted_per_step": lambda row: row.speculating.drafted_per_step,
    "accepted_per_position": lambda row: "; ".join(
        map(repr, row.speculating.accepted_per_position or ())
    ),
    "ttft_s": lambda row: row.ttft_s,
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
    "notes": lambda row: "; ".join(row.notes),
}
"""Column name -> its value. Names are stable: a column may be added, none renamed."""


def render(rows: Sequence[TrialSummary]) -> str:
    """A header line and one line for each row."""
    import pandas as pd  # noqa: PLC0415

    table = pd.DataFrame(
        {name: [_cell(value(row)) for row in rows] for name, value in COLUMNS.items()},
        # Otherwise whole numbers beside an empty cell would become fractions.
        dtype=object,
    )
    return table.to_csv(index=False, lineterminator="\n")


def _cell(value: Value) -> Value:
    return escape.spreadsheet(value) if isinstance(value, str) else value


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _low(estimate: Estimate | None) -> float | None:
    return None if estimate is None or estimate.interval is None else estimate.interval.low


def _high(estimate: Estimate | None) -> float | None:
    return None if estimate is None or estimate.interval is None else estimate.interval.high
