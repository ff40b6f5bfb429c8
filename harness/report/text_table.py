"""Tables as text: as wide as the terminal lets them be, and never parting a word or an interval."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report import escape
from harness.report.tables import Column, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

LOG_WIDTH = 130
"""Characters of a line where there is no terminal: a log is scrolled, not wrapped."""
LONGEST = 24
"""Characters of a word from which it may be parted: names of files are of any length."""
BETWEEN = 2
"""Characters between two columns."""

PARTS = re.compile(r"\[[^\]]*\]|\S+")
"""What stays on one line: an interval, or a word."""


def console_for_text() -> Console:
    """Standard output, not wrapped at 80 characters where it is a file or a pipe."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    if console.is_terminal or console.width >= LOG_WIDTH:
        return console
    return Console(width=LOG_WIDTH)


def text_table(
    content: Table, width: int, spared: Sequence[Column] = (), styles: Sequence[str] = ()
) -> RichTable:
    """A table of at most `width` characters, if that can be: it first takes more lines for a row,
    and then gives up columns, those of `spared` in this order. `styles`: of each row."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    content = Table(content.columns, tuple(tuple(map(escape.clean, row)) for row in content.rows))
    for column in spared:
        if _room(content, width) >= sum(_least(cells) for cells in _columns(content)):
            break
        content = content.without([column])
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    widths = _widths(content, _room(content, width))
    for column, wide in zip(content.columns, widths, strict=True):
        table.add_column(Text(column.heading), justify=column.align, overflow="fold", width=wide)
    for row, style in zip(content.rows, styles or [""] * len(content.rows), strict=True):
        cells = (_broken(cell, wide) for cell, wide in zip(row, widths, strict=True))
        table.add_row(*map(Text, cells), style=style)
    return table


def _columns(content: Table) -> list[list[str]]:
    return [
        [column.heading, *(row[index] for row in content.rows)]
        for index, column in enumerate(content.columns)
    ]


def _room(content: Table, width: int) -> int:
    return width - BETWEEN * (len(content.columns) - 1)


def _least(cells: Sequence[str]) -> int:
    """Characters of the longest part that stays whole."""
    parts = (part for cell in cells for part in PARTS.findall(cell))
    return max((min(len(part), LONGEST) for part in parts), default=1)


def _widths(content: Table, room: int) -> list[int]:
    """As wide as the cells are; where that is too much, the widest column that can gives first."""
    columns = _columns(content)
    found = [max(map(len, cells)) for cells in columns]
    least = [_least(cells) for cells in columns]
    while sum(found) > room:
        spare = [wide - enough for wide, enough in zip(found, least, strict=True)]
        if max(spare, default=0) <= 0:
            break
        widest = max(
            (index for index, more in enumerate(spare) if more > 0), key=lambda i: found[i]
        )
        found[widest] -= 1
    return found


def _broken(cell: str, width: int) -> str:
    """With an interval on a line of its own where a line has no room for both."""
    return cell if len(cell) <= width else cell.replace(" [", "\n[")
