"""The card of a tuning on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.escape import clean_lines
from harness.report.terminal import print_line, print_table
from harness.report.tuning import EXCLUDED, HEADING, PREDICTIONS, TuningSection

if TYPE_CHECKING:
    from rich.console import Console

    from harness.report.content import Report


def print_card(report: Report, section: TuningSection, console: Console) -> None:
    """What doubts the run, the answers, the figures, commands to paste, and what it stands on.

    `section` is the report's own.
    """
    from rich.text import Text  # noqa: PLC0415

    for warning in report.warnings:
        print_line(console, warning, style="bold red")
    for line in section.headlines:
        print_line(console, line, style="bold")
    print_table(console, HEADING, section.table)
    for start in section.starts:
        console.print()
        print_line(console, start.heading)
        # On one line however narrow the terminal is, so that it can be copied.
        console.print(Text(clean_lines(start.command)), soft_wrap=True)
    print_table(console, PREDICTIONS, section.predictions)
    print_table(console, EXCLUDED, section.excluded)
    console.print()
    for remark in section.remarks:
        print_line(console, remark, style="dim")
