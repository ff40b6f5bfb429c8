"""How a gate's outcome is put into words: the same in every view."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.power import MOST_ROUNDS, POWER
from harness.analysis.statistics import LEAST_ROUNDS
from harness.compare.matching import Difference
from harness.gate.decide import Change, Decision
from harness.gate.verdict import Figure, Gate, Row
from harness.report import numbers
from harness.report.tables import Column, Table

TRIAL = Column("trial", "left")
FIGURE = Column("figure", "left")
BASELINE = Column("baseline")
CANDIDATE = Column("candidate")
CHANGE = Column("change")
VERDICT = Column("verdict", "left")
SEEN = Column("seen from")
ROUNDS = Column("rounds needed")

IMPROVED = "improved"

NIGHTS_DIFFER = (
    "two runs were compared: what differs between two nights (other jobs, heat, updates) is in no "
    "interval here and can look like a regression or hide one; `bench ab` measures both in turns"
)


def percent(share: float) -> str:
    """'5%', '2.5%', '12%'; no digit that is not needed."""
    return f"{share * 100:.3g}%"


def change(row: Row) -> str:
    """'-15.2% [-17.4%, -13.0%]'; the dash where nothing is known."""
    if row.ratio is None:
        return numbers.UNKNOWN
    text = signed(row.ratio)
    if row.interval is None:
        return text
    return f"{text} [{signed(row.interval.low)}, {signed(row.interval.high)}]"


def value(figure: Figure, amount: float | None) -> str:
    """With its unit."""
    if amount is None:
        return numbers.UNKNOWN
    match figure:
        case Figure.DECODE_RATE:
            return f"{numbers.rate(amount)} tok/s"
        case Figure.TTFT:
            return numbers.seconds(amount)
        case Figure.ACCEPTANCE_RATE:
            return numbers.percent(amount)
        case Figure.PEAK_MEMORY:
            return numbers.size(amount)
        case _:
            return numbers.length(amount)


def verdict(row: Row) -> str:
    """What a row came to."""
    if row.decision is Decision.REGRESSED:
        return "regressed"
    if row.decision is Decision.INCONCLUSIVE:
        return "inconclusive" if row.required else "cannot tell"
    if row.change is Change.BETTER:
        return IMPROVED
    if row.change is Change.WORSE:
        return "worse, within the threshold"
    return "passed" if row.required else "no regression seen"


def seen(row: Row) -> str:
    """The smallest change for the worse that would have been called a regression."""
    return numbers.UNKNOWN if row.sight.smallest is None else numbers.percent(row.sight.smallest)


def rounds(row: Row) -> str:
    """'6, had 12'."""
    if row.interval is None:
        return numbers.UNKNOWN
    needed = f"over {MOST_ROUNDS}" if row.sight.rounds is None else str(row.sight.rounds)
    return f"{needed}, had {row.rounds}"


def sentence(row: Row) -> str:
    """One row, whole: 'decode rate: regressed, 41.3 tok/s to 35.0 tok/s, -15.2% [-17.4%, …]'."""
    parts = [f"{row.figure}: {verdict(row)}"]
    if row.ratio is not None:
        both = f"{value(row.figure, row.baseline)} to {value(row.figure, row.candidate)}"
        parts.append(f"{both}, {change(row)}")
    text = ", ".join(parts)
    return text if row.reason is None else f"{text}: {row.reason}"


def headline(gate: Gate) -> str:
    """The verdict and what decided it."""
    limit = percent(gate.threshold)
    if gate.decision is Decision.REGRESSED:
        rows = gate.of(Decision.REGRESSED)
        named = [f"{row.figure} of {row.trial} {_briefly(row)}".rstrip() for row in rows[:3]]
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        return f"REGRESSED: {', '.join(named)}{more}"
    rates = [row for row in gate.rows if row.required]
    if gate.decision is Decision.INCONCLUSIVE:
        open_ = [row for row in rates if row.decision is Decision.INCONCLUSIVE]
        if not open_:
            return "INCONCLUSIVE: no decode rate can be compared"
        of = f"{len(open_)} of {numbers.counted(len(rates), 'decode rate')}"
        return f"INCONCLUSIVE: {of} cannot be told from a loss of {limit}"
    which = "the decode rate" if len(rates) == 1 else f"none of {len(rates)} decode rates"
    lost = "lost no more than" if len(rates) == 1 else "lost more than"
    return f"PASSED: {which} {lost} {limit}"


def improvements(gate: Gate) -> str | None:
    """What became better; None of nothing."""
    rows = gate.improved
    if not rows:
        return None
    named = [f"{row.figure} of {row.trial} {_briefly(row)}" for row in rows[:3]]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"Improved: {', '.join(named)}{more}"


def power(gate: Gate) -> str:
    """What the whole gate could have seen, and what it takes to see enough: in one line."""
    more = command(gate)
    return sight(gate) if more is None else f"{sight(gate)} To measure more: {more}"


def command(gate: Gate) -> str | None:
    """What measures enough, where more rounds would do."""
    if gate.smallest is None:
        return gate.command
    return gate.command if gate.rounds is not None and gate.rounds > _had(gate) else None


def sight(gate: Gate) -> str:
    """What the whole gate could have seen, and how many rounds see enough."""
    rates = [row for row in gate.rows if row.required]
    had = _had(gate)
    limit = percent(gate.threshold)
    if gate.smallest is None:
        return (
            "It cannot say which loss it could have seen: a decode rate has fewer than "
            f"{LEAST_ROUNDS} rounds on both sides that can be held against each other."
        )
    where = "any trial" if all(row.ratio is not None for row in rates) else "any other trial"
    text = (
        f"With {numbers.counted(had, 'round')}, a loss of decode rate of "
        f"{numbers.percent(gate.smallest)} or more in {where} would have been called a regression "
        f"{numbers.whole_percent(POWER)} of the time."
    )
    if gate.rounds is None:
        return (
            f"{text} A threshold of {limit} takes more than {MOST_ROUNDS} rounds over such noise: "
            "quieten the machine, or raise the threshold."
        )
    if gate.rounds > had:
        return f"{text} A threshold of {limit} takes {gate.rounds}."
    if gate.decision is Decision.INCONCLUSIVE:
        return f"{text} That is enough for a threshold of {limit}: what is lost lies too near it."
    return f"{text} A threshold of {limit} takes {gate.rounds}, so there were enough."


def difference(one: Difference) -> str:
    """'differs in option threads: 8 and 7'."""
    text = f"differs in {one.what}: {one.baseline} and {one.candidate}"
    return f"{text} (which makes a ratio meaningless)" if one.forbids else text


def cautions(gate: Gate) -> tuple[str, ...]:
    """What is not judged, and what the intervals do not know."""
    return (*(f"not judged: {one}" for one in gate.unmatched), *gate.remarks)


def facts(gate: Gate) -> tuple[str, ...]:
    """What has to be known before the figures."""
    return (*map(difference, gate.differences), *cautions(gate))


def reasons(rows: Sequence[Row]) -> tuple[str, ...]:
    """What stands behind the verdicts that no interval explains, and which samples are left out."""
    told = [f"{row.trial}, {row.figure}: {row.reason}" for row in rows if row.reason is not None]
    left_out = {row.trial: row.left_out for row in rows if row.required and row.left_out}
    return (
        *told,
        *(
            f"{trial}: {numbers.counted(count, 'doubtful sample')} left out of the decode rate"
            for trial, count in left_out.items()
        ),
    )


def table(rows: Sequence[Row]) -> Table:
    """Rows as strings."""
    return Table(
        (TRIAL, FIGURE, BASELINE, CANDIDATE, CHANGE, VERDICT, SEEN, ROUNDS),
        tuple(
            (
                row.trial,
                row.figure,
                value(row.figure, row.baseline),
                value(row.figure, row.candidate),
                change(row),
                verdict(row),
                seen(row),
                rounds(row),
            )
            for row in rows
        ),
    )


def _had(gate: Gate) -> int:
    """Rounds of the decode rate that has the fewest."""
    return min(
        (row.rounds for row in gate.rows if row.required and row.rounds is not None), default=0
    )


def _briefly(row: Row) -> str:
    return "" if row.ratio is None else signed(row.ratio)


def signed(ratio: float) -> str:
    """'-15.2%'; nothing is '0.0%', whichever side of it it was rounded from."""
    text = f"{ratio - 1:+.1%}"
    return "0.0%" if text in {"+0.0%", "-0.0%"} else text
