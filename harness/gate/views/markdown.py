"""The outcome as GitHub-flavoured Markdown: for a job's summary or a comment."""

from __future__ import annotations

from collections.abc import Iterator

from harness.gate import words
from harness.gate.verdict import Gate, worst_first
from harness.report import escape

MOST_ROWS = 500
"""GitHub refuses a summary of more than 1 MiB: the worst rows are kept."""
MOST_LINES = 50
"""Facts, and reasons."""


def render(gate: Gate) -> str:
    """A section with a heading of its own."""
    return "\n\n".join(_blocks(gate)) + "\n"


def _blocks(gate: Gate) -> Iterator[str]:
    yield f"## {_icon(gate)} {escape.markdown(words.headline(gate))}"
    better = words.improvements(gate)
    if better is not None:
        yield escape.markdown(better)
    yield f"{escape.markdown(gate.candidate)} against {escape.markdown(gate.baseline)}"
    yield from _list(words.facts(gate))
    rows = worst_first(gate.rows)
    if rows:
        yield _table(gate)
    yield from _list(words.reasons(rows))
    yield escape.markdown(words.power(gate))


def _icon(gate: Gate) -> str:
    return {"regressed": "❌", "inconclusive": "⚠️", "passed": "✅"}[gate.decision]


def _list(lines: tuple[str, ...]) -> Iterator[str]:
    if not lines:
        return
    shown = [f"- {escape.markdown(line)}" for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"- and {len(lines) - MOST_LINES} more")
    yield "\n".join(shown)


def _table(gate: Gate) -> str:
    rows = worst_first(gate.rows)
    content = words.table(rows[:MOST_ROWS])
    rules = ["---:" if column.align == "right" else "---" for column in content.columns]
    headings = [column.heading for column in content.columns]
    cells = [[escape.markdown(cell) for cell in row] for row in content.rows]
    lines = [f"| {' | '.join(line)} |" for line in (headings, rules, *cells)]
    if len(rows) > MOST_ROWS:
        lines += ["", f"and {len(rows) - MOST_ROWS} more rows, none of them worse"]
    return "\n".join(lines)
