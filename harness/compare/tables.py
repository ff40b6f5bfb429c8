"""A comparison as headings and strings, free of any format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.compare.comparison import Comparison, Figures, Row
from harness.report import numbers
from harness.report.tables import Column, Table

TRIAL = Column("trial", "left")
RATIO = Column("ratio [95%]")
VERDICT = Column("verdict", "left")
ACCEPTANCE = Column("acceptance")
LENGTH = Column("τ")
TTFT = Column("TTFT [95%]")
ANSWERS = Column("same answers")
BASELINE_RATE = Column("baseline tok/s")
CANDIDATE_RATE = Column("candidate tok/s")
ROUNDS = Column("rounds")
SAMPLES = Column("samples")

FORBIDDEN = "forced"
"""What stands beside a difference that nothing but --force gets past."""


def heading(comparison: Comparison) -> str:
    """'runs/today:b held against runs/today:a'."""
    return f"{comparison.candidate.name} held against {comparison.baseline.name}"


def difference_table(comparison: Comparison) -> Table:
    """In what the sides differ; nothing of it where they are the same."""
    table = Table(
        (
            Column("difference", "left"),
            Column("baseline", "left"),
            Column("candidate", "left"),
            Column("", "left"),
        ),
        tuple(
            (one.what, one.baseline, one.candidate, FORBIDDEN if one.forbids else "")
            for one in comparison.matching.differences
        ),
    )
    return table if any(row[3] for row in table.rows) else table.without([table.columns[3]])


def rate_table(comparison: Comparison) -> Table:
    """What is judged: the decode rates."""
    return _table(
        comparison.rows,
        {
            TRIAL: lambda row: row.match.name,
            BASELINE_RATE: lambda row: _rate(row.baseline),
            CANDIDATE_RATE: lambda row: _rate(row.candidate),
            RATIO: _ratio,
            ROUNDS: lambda row: numbers.UNKNOWN if row.effect is None else str(row.effect.rounds),
            VERDICT: lambda row: row.verdict.value,
        },
    )


def detail_table(comparison: Comparison) -> Table:
    """What stands beside the decode rates; drafts only where there are any, answers where they can
    be compared."""
    table = _table(
        comparison.rows,
        {
            TRIAL: lambda row: row.match.name,
            ACCEPTANCE: lambda row: _both(
                row, lambda side: side.speculating.acceptance_rate, numbers.percent
            ),
            LENGTH: lambda row: _both(
                row, lambda side: side.speculating.acceptance_length, numbers.length
            ),
            TTFT: lambda row: numbers.UNKNOWN if row.ttft is None else numbers.speedup(row.ttft),
            ANSWERS: lambda row: (
                numbers.UNKNOWN
                if row.answers is None
                else f"{row.answers.same} of {row.answers.compared}"
            ),
            SAMPLES: lambda row: f"{row.baseline.samples} → {row.candidate.samples}",
        },
    )
    empty = {numbers.UNKNOWN}
    silent = [
        column
        for index, column in enumerate(table.columns)
        if {row[index] for row in table.rows} == empty
    ]
    return table.without(silent)


def notes(comparison: Comparison) -> tuple[str, ...]:
    """A line for everything that a figure of a row does not tell: why nothing can be told, what
    failed, what is doubtful."""
    return tuple(f"{row.match.name}: {words}" for row in comparison.rows for words in _words(row))


def _words(row: Row) -> Iterator[str]:
    if row.why is not None:
        yield f"{row.verdict}: {row.why}"
    for name, side in (("baseline", row.baseline), ("candidate", row.candidate)):
        if side.failed:
            yield f"{numbers.counted(side.failed, 'request')} of the {name} failed"
        if side.doubtful:
            most = f"most samples of the {name} are doubtful ({side.doubt})"
            yield f"{most}, so that none is left out"
        elif side.left_out:
            samples = f"{side.left_out} of {numbers.counted(side.samples, 'sample')}"
            yield f"{samples} of the {name} are doubtful and left out of tok/s: {side.doubt}"


def _rate(side: Figures) -> str:
    return numbers.UNKNOWN if side.decode_rate is None else numbers.rate(side.decode_rate)


def _ratio(row: Row) -> str:
    """'0.987x [0.975, 0.999]': two builds differ in the third decimal."""
    if row.effect is None:
        return numbers.UNKNOWN
    if row.interval is None:
        return f"{row.effect.ratio:.3f}x"
    return f"{row.effect.ratio:.3f}x [{row.interval.low:.3f}, {row.interval.high:.3f}]"


def _both(row: Row, figure: Callable[[Figures], float | None], show: Callable[[float], str]) -> str:
    """'51.0% → 49.8%'."""
    found = [figure(row.baseline), figure(row.candidate)]
    if found == [None, None]:
        return numbers.UNKNOWN
    return " → ".join(numbers.UNKNOWN if value is None else show(value) for value in found)


def _table(rows: Sequence[Row], cells: dict[Column, Callable[[Row], str]]) -> Table:
    return Table(tuple(cells), tuple(tuple(cell(row) for cell in cells.values()) for row in rows))
