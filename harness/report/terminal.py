"""The summary that a sweep ends with on the terminal."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from harness.report import escape
from harness.report.content import SYNTHETIC, Report
from harness.report.facts import WALL_TIME
from harness.report.side_by_side import (
    HEADING,
    MEANINGS,
    MEMORY,
    PREFILL,
    PROMPTS,
    RUNNER,
    START_UP,
    TEXT,
    TTFT,
    WEIGHTS,
    side_table,
)
from harness.report.tables import (
    ACCEPTANCE,
    ACCEPTANCE_LENGTH,
    CEILING,
    CEILING_SHARE,
    DRAFTED,
    DRAWN_ACCEPTANCE,
    DRAWN_LENGTH,
    LOSSLESS,
    NOTES,
    REASON,
    SETTING,
    TOKENS_PER_BURST,
    WORKLOAD,
    Column,
    Table,
    main_table,
    synthetic_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.table import Table as RichTable

    from harness.analysis.trial import TrialSummary

SPARED = (
    WEIGHTS,
    PREFILL,
    TTFT,
    PROMPTS,
    CEILING,
    CEILING_SHARE,
    DRAFTED,
    DRAWN_LENGTH,
    DRAWN_ACCEPTANCE,
    ACCEPTANCE_LENGTH,
    TOKENS_PER_BURST,
    START_UP,
    MEMORY,
    ACCEPTANCE,
    LOSSLESS,
    TEXT,
)
"""Columns that a table gives up, in this order, until it fits."""
LEAST = {SETTING: 24, RUNNER: 18, TEXT: 18, REASON: 40}
"""Characters that are enough of a column: longer names of settings, words on texts and reasons may
take several lines."""
COUNTED = re.compile(r"(\d+)( of \d+\b[^:]*: .+)", re.DOTALL)


def print_summary(report: Report, console: Console) -> None:
    """Warnings, headlines, tables for each workload, failures, and where the time went."""
    for warning in report.warnings:
        print_line(console, warning, style="bold red")
    for line in report.headlines:
        print_line(console, line, style="bold")
    shown: set[Column] = set()
    for workload, rows in groupby(report.rows, key=lambda row: row.workload):
        trials = list(rows)
        real = [row for row in trials if row.arm.synthetic is None]
        drawn = [row for row in trials if row.arm.synthetic is not None]
        _print_rows(console, workload, main_table(real), real)
        _print_rows(console, f"{workload}, synthetic acceptance", synthetic_table(drawn), drawn)
        groups = [group for group in report.side_by_side.groups if group.workload == workload]
        shown |= print_table(
            console, f"{workload}, {HEADING.lower()}", side_table(groups).without([WORKLOAD])
        )
    if report.side_by_side.groups:
        print_line(console, report.side_by_side.explanation, style="dim")
    if shown & {MEMORY, START_UP}:
        print_line(console, MEANINGS, style="dim")
    for remark in report.side_by_side.remarks:
        print_line(console, remark, style="dim")
    for remark in report.step_costs.remarks:
        print_line(console, remark, style="dim")
    if report.synthetic.rows:
        print_line(console, SYNTHETIC, style="dim")
    for remark in report.remarks:
        print_line(console, remark, style="dim")
    _print_failures(console, report)
    if report.wall_time is not None:
        console.print()
        print_line(console, f"{WALL_TIME}: {report.wall_time}", style="dim")


def _print_rows(console: Console, title: str, content: Table, rows: Sequence[TrialSummary]) -> None:
    """A table, and under it the notes of its rows."""
    if not content.rows:
        return
    print_table(console, title, content.without([WORKLOAD, NOTES]))
    notes: dict[str, list[TrialSummary]] = {}
    counts: dict[str, list[int]] = {}
    for trial in rows:
        for note in trial.notes:
            count, rest = _counted(note)
            notes.setdefault(rest, []).append(trial)
            counts.setdefault(rest, []).append(count)
    for rest, noted in notes.items():
        low, high = min(counts[rest]), max(counts[rest])
        note = f"{low if low == high else f'{low} to {high}'}{rest}" if high else rest
        one_length = len({row.max_tokens for row in rows}) == 1
        everywhere = one_length and len(noted) == len(content.rows) > 1
        who = "every setting" if everywhere else _trials(noted, rows)
        print_line(console, f"- {note}: {who}", style="yellow")


def _counted(note: str) -> tuple[int, str]:
    """'4 of 6: …' -> (4, ' of 6: …'), so that rows which differ in the count alone share a line;
    0 of a note without a count."""
    found = COUNTED.fullmatch(note)
    return (0, note) if found is None else (int(found[1]), found[2])


def print_table(console: Console, title: str, content: Table) -> set[Column]:
    """The table of one workload, with the columns that there is room for: these are returned."""
    if not content.rows:
        return set()
    # A measurement never exceeds the width it is made for, so that has to be a generous one.
    unbounded = console.options.update(max_width=10_000)

    def spare() -> int:
        least = _table(title, content, _least_widths(content))
        return console.width - console.measure(least, options=unbounded).minimum

    for column in SPARED:
        if spare() >= 0:
            break
        content = content.without([column])
    console.print()
    console.print(_table(title, content, _widths(content, max(0, spare()))))
    return set(content.columns)


def _full_widths(content: Table) -> dict[Column, int]:
    """Characters of the longest cell of each column."""
    return {
        column: max(len(text) for text in (column.heading, *(row[index] for row in content.rows)))
        for index, column in enumerate(content.columns)
    }


def _least_widths(content: Table) -> dict[Column, int]:
    return {
        column: min(LEAST.get(column, full), full) for column, full in _full_widths(content).items()
    }


def _widths(content: Table, spare: int) -> dict[Column, int]:
    """The least widths, and of `spare` characters what the columns can use, the first ones first.

    Left to itself, rich takes as much from each column as from any other, whatever its least is.
    """
    found = _least_widths(content)
    for column, full in _full_widths(content).items():
        more = min(spare, full - found[column])
        found[column] += more
        spare -= more
    return found


def _table(title: str, content: Table, widths: Mapping[Column, int]) -> RichTable:
    from rich import box  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = RichTable(
        title=Text(escape.clean(title)),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in content.columns:
        table.add_column(
            Text(column.heading), justify=column.align, overflow="fold", width=widths[column]
        )
    for row in content.rows:
        table.add_row(*(Text(escape.clean(cell)) for cell in row))
    return table


def _print_failures(console: Console, report: Report) -> None:
    failures: dict[tuple[str, str], list[TrialSummary]] = {}
    for row in report.rows:
        if row.failure is not None:
            failures.setdefault((row.failure, row.workload), []).append(row)
    if failures:
        console.print()
        print_line(console, "Failures", style="bold red")
    # What fails for one reason on several workloads is said once.
    workloads: dict[tuple[str, str], list[str]] = {}
    for (failure, workload), rows in failures.items():
        workloads.setdefault((failure, _trials(rows, report.rows)), []).append(workload)
    for (failure, trials), found in workloads.items():
        print_line(console, f"- {', '.join(found)}, {trials}: {failure}")


def _trials(rows: Sequence[TrialSummary], among: Sequence[TrialSummary]) -> str:
    """'plain, ngram-mod k=8'; with max tokens where there are several, 'plain (64, 128 tokens)'."""
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(row.setting, []).append(row.max_tokens)
    if len({row.max_tokens for row in among}) == 1:
        return ", ".join(lengths)
    return ", ".join(
        f"{setting} ({', '.join(map(str, found))} tokens)" for setting, found in lengths.items()
    )


def print_line(console: Console, text: str, style: str = "") -> None:
    """One line of text as it is: no markup, no highlighting, no control characters."""
    from rich.text import Text  # noqa: PLC0415

    console.print(Text(escape.clean(text), style=style), soft_wrap=False)
