"""The tables of a report as headings and strings, free of any format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.analysis.lossless import Lossless, Margin, Verdict
from harness.analysis.trial import TrialSummary
from harness.report import escape, numbers
from runners.base.speculation import PLAIN


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
TOKENS_PER_BURST = Column("tokens per burst")
LOSSLESS = Column("lossless", "left")
CEILING = Column("ceiling")
CEILING_SHARE = Column("of ceiling")
DRAWN_ACCEPTANCE = Column("drawn acceptance")
DRAWN_LENGTH = Column("drawn τ")
DRAFTED = Column("drafted a step")
ACCEPTANCE_OF_REQUESTS = Column("acceptance of a request")
LENGTH_OF_REQUESTS = Column("τ of a request")
DIFFERING = Column("answers that differ", "left")
NOTES = Column("notes", "left")
REASON = Column("reason", "left")

T = TypeVar("T")

Cell = Callable[[TrialSummary], str]
"""Prints one column of one row."""


def main_table(rows: Sequence[TrialSummary]) -> Table:
    """The table an article would print: every trial that has figures and writes a text.

    `max tokens` (in every table), the ceiling, `notes`, and tokens per burst, which are no steps,
    are columns only where they say anything; so is what compares settings.
    """
    measured = [row for row in rows if row.failure is None and row.arm.synthetic is None]
    table = _table(
        measured,
        {
            **_place(rows),
            DECODE_RATE: lambda row: known(row.decode_rate, numbers.rate_estimate),
            SPEEDUP: _speedup,
            ACCEPTANCE: lambda row: of_drafts(
                row, row.speculating.acceptance_rate, numbers.percent
            ),
            ACCEPTANCE_LENGTH: lambda row: of_drafts(
                row, row.speculating.acceptance_length, numbers.length
            ),
            TOKENS_PER_BURST: lambda row: known(row.tokens_per_burst, numbers.length),
            LOSSLESS: _lossless,
            CEILING: lambda row: known(row.ceiling.rate, numbers.rate),
            CEILING_SHARE: lambda row: known(row.ceiling_share, numbers.whole_percent),
            NOTES: _notes,
        },
    )
    unwanted = [] if any(row.notes for row in measured) else [NOTES]
    if not any(row.ceiling.rate for row in measured):
        unwanted += [CEILING, CEILING_SHARE]
    if not any(row.tokens_per_burst for row in measured):
        unwanted.append(TOKENS_PER_BURST)
    if measured and all(row.arm.as_served for row in measured):
        unwanted += [SPEEDUP, LOSSLESS]
    return table.without(unwanted)


def synthetic_table(rows: Sequence[TrialSummary]) -> Table:
    """Trials whose drafts were accepted by draw: what the machine does with such a drafter."""
    table = _table(
        [row for row in rows if row.failure is None and row.arm.synthetic is not None],
        {
            **_place(rows),
            DECODE_RATE: lambda row: known(row.decode_rate, numbers.rate_estimate),
            SPEEDUP: _speedup,
            DRAWN_ACCEPTANCE: lambda row: exposed(row.speculating.acceptance_rate, numbers.percent),
            DRAWN_LENGTH: lambda row: exposed(row.speculating.acceptance_length, numbers.length),
            DRAFTED: lambda row: exposed(row.speculating.drafted_per_step, numbers.length),
            NOTES: _notes,
        },
    )
    return table if any(row[-1] for row in table.rows) else table.without([NOTES])


def detail_table(rows: Sequence[TrialSummary]) -> Table:
    """The figures that stand behind the main table."""
    measured = [row for row in rows if row.failure is None and row.arm.synthetic is None]
    table = _table(
        measured,
        {
            **_place(rows),
            Column("samples"): lambda row: f"{row.ok} of {row.ok + row.failed}",
            Column("pairs"): lambda row: known(row.speedup, lambda speedup: str(speedup.count)),
            DIFFERING: lambda row: (
                numbers.UNKNOWN if row.arm.is_baseline else differing(row.lossless)
            ),
            DRAFTED: lambda row: of_drafts(row, row.speculating.drafted_per_step, numbers.length),
            ACCEPTANCE_OF_REQUESTS: lambda row: of_drafts(
                row, row.speculating.acceptance_rate_of_requests, numbers.percent
            ),
            LENGTH_OF_REQUESTS: lambda row: of_drafts(
                row, row.speculating.acceptance_length_of_requests, numbers.length
            ),
            Column("accepted at 1, 2, …", "left"): lambda row: of_drafts(
                row, row.speculating.accepted_per_position, _positions
            ),
            Column("TTFT"): ttft,
            Column("prefill tok/s"): lambda row: exposed(row.prefill_rate, numbers.rate),
            Column("peak memory"): lambda row: exposed(row.peak_memory, numbers.size),
        },
    )
    unwanted = []
    if not any(row.lossless.differing and not row.arm.is_baseline for row in measured):
        unwanted.append(DIFFERING)
    if all(row.arm.method == PLAIN for row in measured):
        unwanted += [ACCEPTANCE_OF_REQUESTS, LENGTH_OF_REQUESTS]
    return table.without(unwanted)


def failure_table(rows: Sequence[TrialSummary]) -> Table:
    """The trials that have no figures, and why."""
    return _table(
        [row for row in rows if row.failure is not None],
        {**_place(rows), REASON: lambda row: row.failure or ""},
    )


def difference_words(lossless: Lossless) -> str:
    """'differs in 2 of 6 answers, at token 37 by a margin of 1.9'."""
    words = f"differs in {lossless.differing} of {lossless.compared} answers"
    if lossless.margin is not None:
        return (
            f"{words}, at token {lossless.decisive} by a margin of {margin_words(lossless.margin)}"
        )
    if lossless.decisive is not None:
        words += f", at token {lossless.decisive}"
    return f"{words} (not probed)"


def differing(lossless: Lossless) -> str:
    """'3 of 9: 2 near-ties, 1 not probed'."""
    counts = (
        ("near-tie" if lossless.near_ties == 1 else "near-ties", lossless.near_ties),
        ("clear", lossless.clear),
        ("not probed", lossless.unprobed),
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts if count)
    found = f"{lossless.differing} of {lossless.compared}"
    return f"{found}: {kinds}" if kinds else found


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


def ttft(row: TrialSummary) -> str:
    """'63 ms'; '63 ms (4 of 6 cached)' where most prompts had been read before."""
    shown = exposed(row.ttft_s, numbers.seconds)
    return f"{shown} ({row.cached} of {row.ok} cached)" if row.cached else shown


def _speedup(row: TrialSummary) -> str:
    if row.arm.as_served:
        return numbers.UNKNOWN
    return "reference" if row.arm.is_baseline else known(row.speedup, numbers.speedup)


def _lossless(row: TrialSummary) -> str:
    if row.arm.as_served:
        return numbers.UNKNOWN
    return "reference" if row.arm.is_baseline else lossless_words(row.lossless)


def lossless_words(found: Lossless) -> str:
    """'identical', 'near-tie at 36 (0.03)', 'differs at 36 (margin 1.9)' or '(not probed)'."""
    if found.verdict is Verdict.NEAR_TIE and found.margin is not None:
        return f"near-tie at {found.decisive} ({margin_words(found.margin)})"
    if found.verdict is not Verdict.DIFFERENT:
        return found.verdict.value
    place = "" if found.decisive is None else f" at {found.decisive}"
    if found.margin is None:
        return f"differs{place} (not probed)"
    return f"differs{place} (margin {margin_words(found.margin)})"


def margin_words(margin: Margin) -> str:
    """'0.03', '1.9', 'over 4.2'."""
    value = f"{margin.value:.{2 if margin.value < 1 else 1}f}"
    return f"over {value}" if margin.at_least else value


def _notes(row: TrialSummary) -> str:
    return "\n".join(map(escape.clean, row.notes))


def _positions(shares: Sequence[float]) -> str:
    return " ".join(numbers.whole_percent(share) for share in shares)


def known(value: T | None, show: Callable[[T], str]) -> str:
    """A dash where there is nothing to say."""
    return numbers.UNKNOWN if value is None else show(value)


def exposed(value: T | None, show: Callable[[T], str]) -> str:
    """'not exposed' where the runner does not tell."""
    return numbers.NOT_EXPOSED if value is None else show(value)


def of_drafts(row: TrialSummary, value: T | None, show: Callable[[T], str]) -> str:
    """Plain decoding has no drafts to tell of; of another method they may not be exposed."""
    if row.arm.method == PLAIN:
        return numbers.UNKNOWN
    if value is None and row.speculating.found_nothing:
        return "no drafts"
    return exposed(value, show)
