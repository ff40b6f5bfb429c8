"""A comparison on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from harness.compare.comparison import Comparison, Verdict
from harness.compare.tables import (
    RATIO,
    VERDICT,
    detail_table,
    difference_table,
    heading,
    notes,
    rate_table,
)
from harness.report import escape
from harness.report.tables import Table

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
    _print_table(console, rate_table(comparison))
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


def _print_table(console: Console, content: Table) -> None:
    if not content.rows:
        return
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for column in content.columns:
        whole = column in (RATIO, VERDICT)
        table.add_column(Text(column.heading), justify=column.align, overflow="fold", no_wrap=whole)
    for row in content.rows:
        table.add_row(
            *(
                Text(escape.clean(cell), style=STYLES.get(cell, "") if column == VERDICT else "")
                for column, cell in zip(content.columns, row, strict=True)
            )
        )
    console.print()
    console.print(table)


def _print(console: Console, text: str, style: str) -> None:
    console.print(Text(escape.clean(text), style=style))
