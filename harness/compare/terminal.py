"""A comparison on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.compare.comparison import Comparison, Verdict
from harness.compare.tables import (
    ACCEPTANCE,
    ANSWERS,
    BASELINE_RATE,
    CANDIDATE_RATE,
    LENGTH,
    ROUNDS,
    SAMPLES,
    TTFT,
    detail_table,
    difference_table,
    heading,
    notes,
    rate_table,
)
from harness.report import escape
from harness.report.tables import Table
from harness.report.text_table import text_table

SPARED = (
    ROUNDS,
    CANDIDATE_RATE,
    BASELINE_RATE,
    SAMPLES,
    ANSWERS,
    LENGTH,
    ACCEPTANCE,
    TTFT,
)
"""What a narrow terminal has no room for, in this order."""

STYLES = {
    Verdict.FASTER.value: "green",
    Verdict.SLOWER.value: "red",
    Verdict.UNKNOWN.value: "yellow",
}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Differences first, then the decode rates, what stands beside them, and what there is to
    say."""
    _print(console, heading(comparison), "bold")
    _print_table(console, difference_table(comparison))
    verdicts = [STYLES.get(row.verdict.value, "") for row in comparison.rows]
    _print_table(console, rate_table(comparison), verdicts)
    _print_table(console, detail_table(comparison))
    lines = [
        *((note, "yellow") for note in notes(comparison)),
        *((f"not compared: {one}", "dim") for one in comparison.matching.unmatched),
        *((remark, "") for remark in comparison.remarks),
    ]
    if lines:
        console.print()
    for line, style in lines:
        _print(console, f"- {line}", style)


def _print_table(console: Console, content: Table, styles: Sequence[str] = ()) -> None:
    if not content.rows:
        return
    console.print()
    console.print(text_table(content, console.width, SPARED, styles))


def _print(console: Console, text: str, style: str) -> None:
    console.print(Text(escape.clean(text), style=style))
