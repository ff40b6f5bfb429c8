"""The summary that a sweep ends with on the terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from harness.report import escape
from harness.report.content import Report, build_report, wall_time
from harness.report.tables import (
    ACCEPTANCE_LENGTH,
    CEILING,
    CEILING_SHARE,
    MAX_TOKENS,
    NOTES,
    WORKLOAD,
    Column,
    main_table,
)
from harness.run_folder import RunData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.analysis.summary import TrialSummary

NARROW = 100
"""Below so many columns of the terminal the table leaves out what it can spare."""


def print_summary(run: RunData, console: Console) -> None:
    """Headlines, one table for each workload, failures, and where the time went."""
    report = build_report(run)
    for line in report.headlines:
        _print(console, line, style="bold")
    for workload, rows in groupby(report.rows, key=lambda row: row.workload):
        _print_workload(console, workload, list(rows))
    for remark in report.remarks:
        _print(console, remark, style="dim")
    _print_failures(console, report)
    spent = wall_time(run.sessions)
    if spent is not None:
        console.print()
        _print(console, f"wall time {spent}", style="dim")


def _print_workload(console: Console, workload: str, rows: Sequence[TrialSummary]) -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    unwanted: list[Column] = [WORKLOAD, NOTES, CEILING]
    if console.width < NARROW:
        unwanted += [ACCEPTANCE_LENGTH, CEILING_SHARE]
    content = main_table(rows).without(unwanted)
    if not content.rows:
        return
    table = Table(
        title=Text(escape.clean(workload)),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in content.columns:
        table.add_column(
            Text(column.heading),
            justify=column.align,
            overflow="fold",
            no_wrap=column.align == "right" and column is not MAX_TOKENS,
        )
    for row in content.rows:
        table.add_row(*(Text(escape.clean(cell)) for cell in row))
    console.print()
    console.print(table)
    for trial in rows:
        for note in trial.notes:
            _print(console, f"  {trial.setting}: {note}", style="yellow")


def _print_failures(console: Console, report: Report) -> None:
    failed = [row for row in report.rows if row.failure is not None]
    if failed:
        console.print()
        _print(console, "Failures", style="bold red")
    for row in failed:
        _print(console, f"  {row.setting}, {row.workload}: {row.failure}")


def _print(console: Console, text: str, style: str = "") -> None:
    """One line of text as it is: no markup, no highlighting, no control characters."""
    from rich.text import Text  # noqa: PLC0415

    console.print(Text(escape.clean(text), style=style), soft_wrap=False)
