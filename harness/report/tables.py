"""The tables of a report as headings and strings, free of any format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.summary import TrialSummary
from harness.report import escape, numbers


@dataclass(frozen=True)
class Column:
    heading: str
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Table:
    """Each row has one string for each column; a line break parts the entries of a cell."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, unwanted: Collection[Column]) -> Table:
        """The same table with fewer columns."""
        kept = [index for index, column in enumerate(self.columns) if column not in unwanted]
        return Table(
            tuple(self.columns[index] for index in kept),
            tuple(tuple(row[index] for index in kept) for row in self.rows),
        )


SETTING = Column("setting", "left")
WORKLOAD = Column("workload", "left")
MAX_TOKENS = Column("max tokens")
DECODE_RATE = Column("tok/s [95%]")
SPEEDUP = Column("speed-up [95%]")
ACCEPTANCE = Column("acceptance")
ACCEPTANCE_LENGTH = Column("τ")
LOSSLESS = Column("lossless", "left")
CEILING = Column("ceiling")
CEILING_SHARE = Column("of ceiling")
NOTES = Column("notes", "left")
REASON = Column("reason", "left")

T = TypeVar("T")

Cell = Callable[[TrialSummary], str]
"""Prints one column of one row."""


def main_table(rows: Sequence[TrialSummary]) -> Table:
    """The table an article would print: every trial that has figures.

    `max tokens` (in every table), the ceiling and `notes` are columns only where they say
    anything.
    """
    measured = [row for row in rows if row.failure is None]
    table = _table(
        measured,
        {
            **_place(rows),
            DECODE_RATE: lambda row: _known(row.decode_rate, numbers.rate_estimate),
            SPEEDUP: _speedup,
            ACCEPTANCE: lambda row: _drafts(row, row.speculating.acceptance_rate, numbers.percent),
            ACCEPTANCE_LENGTH: lambda row: _drafts(
                row, row.speculating.acceptance_length, numbers.length
            ),
            LOSSLESS: _lossless,
            CEILING: lambda row: _known(row.ceiling.rate, numbers.rate),
            CEILING_SHARE: lambda row: _known(row.ceiling_share, numbers.whole_percent),
            NOTES: lambda row: "\n".join(map(escape.clean, row.notes)),
        },
    )
    unwanted = [] if any(row.notes for row in measured) else [NOTES]
    if not any(row.ceiling.rate for row in measured):
        unwanted += [CEILING, CEILING_SHARE]
    return table.without(unwanted)


def detail_table(rows: Sequence[TrialSummary]) -> Table:
    """The figures that stand behind the main table."""
    return _table(
        [row for row in rows if row.failure is None],
        {
            **_place(rows),
            Column("samples"): lambda row: f"{row.ok} of {row.ok + row.failed}",
            Column("pairs"): lambda row: _known(row.speedup, lambda speedup: str(speedup.count)),
            Column("drafted a step"): lambda row: _drafts(
                row, row.speculating.drafted_per_step, numbers.length
            ),
            Column("accepted at 1, 2, …", "left"): lambda row: _drafts(
                row, row.speculating.accepted_per_position, _positions
            ),
            Column("TTFT"): lambda row: _exposed(row.ttft_s, numbers.seconds),
            Column("prefill tok/s"): lambda row: _exposed(row.prefill_rate, numbers.rate),
            Column("peak memory"): lambda row: _exposed(row.peak_memory, numbers.size),
        },
    )


def failure_table(rows: Sequence[TrialSummary]) -> Table:
    """The trials that have no figures, and why."""
    return _table(
        [row for row in rows if row.failure is not None],
        {**_place(rows), REASON: lambda row: row.failure or ""},
    )


def difference_words(lossless: Lossless) -> str:
    """'differs in 2 of 6 answers, first at token 37'."""
    words = f"differs in {lossless.differing} of {lossless.compared} answers"
    if lossless.first_difference is None:
        return words
    return f"{words}, first at token {lossless.first_difference}"


def _place(rows: Sequence[TrialSummary]) -> dict[Column, Cell]:
    """The columns that say which trial a row is."""
    place: dict[Column, Cell] = {
        SETTING: lambda row: row.setting,
        WORKLOAD: lambda row: row.workload,
    }
    if len({row.max_tokens for row in rows}) > 1:
        place[MAX_TOKENS] = lambda row: str(row.max_tokens)
    return place


def _table(rows: Sequence[TrialSummary], cells: dict[Column, Cell]) -> Table:
    return Table(tuple(cells), tuple(tuple(cell(row) for cell in cells.values()) for row in rows))


def _speedup(row: TrialSummary) -> str:
    return "reference" if row.arm.is_plain else _known(row.speedup, numbers.speedup)


def _lossless(row: TrialSummary) -> str:
    """'identical', or 'differs at 37 (2 of 6)': the first token that differs anywhere."""
    found = row.lossless
    if row.arm.is_plain:
        return "reference"
    if found.verdict is not Verdict.DIFFERENT:
        return found.verdict.value
    place = "" if found.first_difference is None else f" at {found.first_difference}"
    return f"differs{place} ({found.differing} of {found.compared})"


def _positions(shares: Sequence[float]) -> str:
    return " ".join(numbers.whole_percent(share) for share in shares)


def _known(value: T | None, show: Callable[[T], str]) -> str:
    return numbers.UNKNOWN if value is None else show(value)


def _exposed(value: T | None, show: Callable[[T], str]) -> str:
    return numbers.NOT_EXPOSED if value is None else show(value)


def _drafts(row: TrialSummary, value: T | None, show: Callable[[T], str]) -> str:
    """Plain decoding has no drafts to tell of; of another method they may not be exposed."""
    if row.arm.method == "none":
        return numbers.UNKNOWN
    if value is None and row.speculating.found_nothing:
        return "no drafts"
    return _exposed(value, show)
