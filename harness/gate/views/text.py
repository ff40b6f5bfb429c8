"""The outcome on the terminal, or in a log."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from harness.gate import words
from harness.gate.decide import Decision
from harness.gate.verdict import Gate, Row, worst_first
from harness.report import escape

LOG_WIDTH = 130
"""Characters of a line where there is no terminal: a log is scrolled, not wrapped."""

_STYLES = {
    Decision.REGRESSED: "bold red",
    Decision.INCONCLUSIVE: "bold yellow",
    Decision.PASSED: "bold green",
}


def show(gate: Gate, console: Console | None = None) -> None:
    """Print it: the verdict, what has to be known first, a table for each trial, the power."""
    if console is None:
        console = Console()
        if not console.is_terminal and console.width < LOG_WIDTH:
            console = Console(width=LOG_WIDTH)
    _line(console, words.headline(gate), _STYLES[gate.decision])
    better = words.improvements(gate)
    if better is not None:
        _line(console, better, "green")
    _line(console, f"{gate.candidate} against {gate.baseline}")
    for fact in words.facts(gate):
        _line(console, f"- {fact}", "yellow")
    rows = worst_first(gate.rows)
    for trial in dict.fromkeys(row.trial for row in rows):
        console.print()
        console.print(_table(trial, [row for row in gate.rows if row.trial == trial]))
    reasons = words.reasons(rows)
    if reasons:
        console.print()
    for reason in reasons:
        _line(console, f"- {reason}")
    console.print()
    _line(console, words.power(gate))


def _table(trial: str, rows: Sequence[Row]) -> RichTable:
    content = words.table(rows).without([words.TRIAL])
    table = RichTable(
        title=_text(trial, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in content.columns:
        table.add_column(Text(column.heading), justify=column.align, overflow="fold")
    for row, cells in zip(rows, content.rows, strict=True):
        bad = row.decision is Decision.REGRESSED
        table.add_row(*map(_text, cells), style="red" if bad else "")
    return table


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(_text(text, style))


def _text(text: str, style: str = "") -> Text:
    """As it is: no markup, no control characters, no command to the runner of a workflow."""
    return Text(_harmless(escape.clean(text)), style=style)


def _harmless(text: str) -> str:
    """Text of one line that no workflow takes for a command, wherever it is wrapped."""
    return text.replace("::", ": :").replace("##[", "## [")
