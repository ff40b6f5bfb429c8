"""A comparison as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from harness.compare.comparison import Comparison
from harness.compare.tables import detail_table, difference_table, heading, notes, rate_table
from harness.report import escape
from harness.report.tables import Table


def render(comparison: Comparison) -> str:
    """A section for a summary or a comment: differences, decode rates, what stands beside them."""
    return "\n\n".join(_blocks(comparison)) + "\n"


def _blocks(comparison: Comparison) -> Iterator[str]:
    yield f"## {escape.markdown(heading(comparison))}"
    for table in (difference_table(comparison), rate_table(comparison), detail_table(comparison)):
        if table.rows:
            yield _table(table)
    lines = [
        *notes(comparison),
        *(f"not compared: {one}" for one in comparison.matching.unmatched),
        *comparison.remarks,
    ]
    if lines:
        yield "\n".join(f"- {escape.markdown(line)}" for line in lines)


def _table(table: Table) -> str:
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    lines = [
        [escape.markdown(column.heading) for column in table.columns],
        rules,
        *([escape.markdown(cell) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
