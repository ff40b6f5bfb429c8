"""The outcome on the terminal, or in a log."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.gate import words
from harness.gate.decide import Decision
from harness.gate.verdict import Gate, Row, worst_first
from harness.report import escape
from harness.report.tables import Table
from harness.report.text_table import console_for_text, text_table

SPARED = (words.ROUNDS, words.SEEN, words.CANDIDATE, words.BASELINE)
"""What a narrow terminal has no room for, in this order."""

_STYLES = {
    Decision.REGRESSED: "bold red",
    Decision.INCONCLUSIVE: "bold yellow",
    Decision.PASSED: "bold green",
}


def show(gate: Gate, console: Console | None = None) -> None:
    """Print it: the verdict, what has to be known first, a table for each trial, the power."""
    console = console or console_for_text()
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
        _line(console, trial, "bold")
        _print_rows(console, [row for row in gate.rows if row.trial == trial])
    reasons = words.reasons(rows)
    if reasons:
        console.print()
    for reason in reasons:
        _line(console, f"- {reason}")
    console.print()
    _line(console, words.sight(gate))
    command = words.command(gate)
    if command is not None:
        # A line of its own, however long: it is there to be pasted.
        console.print(_text(f"To measure more: {command}"), soft_wrap=True)


def _print_rows(console: Console, rows: Sequence[Row]) -> None:
    content = words.table(rows).without([words.TRIAL])
    safe = Table(content.columns, tuple(tuple(map(_harmless, cells)) for cells in content.rows))
    styles = ["red" if row.decision is Decision.REGRESSED else "" for row in rows]
    console.print(text_table(safe, console.width, SPARED, styles))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(_text(text, style))


def _text(text: str, style: str = "") -> Text:
    """As it is: no markup, no control characters, no command to the runner of a workflow."""
    return Text(_harmless(escape.clean(text)), style=style)


def _harmless(text: str) -> str:
    """Text of one line that no workflow takes for a command, wherever it is wrapped."""
    return text.replace("::", ": :").replace("##[", "## [")
