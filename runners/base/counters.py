"""Totals of speculation out of a Prometheus text page, such as a runner's `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from runners.base.contract import Counters, RunnerError

LARGEST_PAGE = 8 * 2**20
"""Characters; a page that is longer is refused."""
MOST_POSITIONS = 4096
"""Draft positions beyond which the page is taken for broken."""
LONGEST_LINE = 4096
LARGEST_TOTAL = 2.0**53
"""Beyond it a float no longer holds every whole number."""


@dataclass(frozen=True)
class CounterNames:
    """The series of one runner, as they stand on its page ('…_total' included)."""

    drafted: str | None
    """None: the runner counts only what was accepted."""
    accepted: str
    steps: str | None
    """None: the caller knows the tokens, and works the steps out."""
    per_position: str | None = None
    """None: the runner does not count by position. One that does may leave the family away until
    something was drafted: nothing at any position then."""
    position_label: str = "position"


def read_counters(page: str, names: CounterNames) -> Counters:
    """The totals on `page`; series of one name (several engines or models) are added up.

    A family that is declared (`# TYPE`) and has no series yet counts as 0.

    Raises:
        RunnerError: a total is not exposed, is no whole number from 0 on, or stands in a page or
            line that is too long or no Prometheus text.
    """
    series = (names.drafted, names.accepted, names.steps, names.per_position)
    families = _samples(page, [name for name in series if name is not None])
    return Counters(
        drafted=None if names.drafted is None else _total(families, names.drafted),
        accepted=_total(families, names.accepted),
        steps=0 if names.steps is None else _total(families, names.steps),
        accepted_per_position=_per_position(families, names),
    )


def read_total(page: str, name: str) -> int:
    """The total of one series on `page`, as `read_counters` reads it.

    Raises:
        RunnerError: as `read_counters`.
    """
    return _total(_samples(page, [name]), name)


@dataclass(frozen=True)
class _Sample:
    labels: Mapping[str, str]
    value: float


def _samples(page: str, series: Sequence[str]) -> dict[str, list[_Sample]]:
    """Name -> samples of the wanted series; a declared family without samples has an empty list."""
    found: dict[str, list[_Sample]] = {}
    try:
        for family in text_string_to_metric_families(_wanted_lines(page, series)):
            # The parser takes '_total' off a counter's name, and puts it on all of its samples.
            total = f"{family.name}_total"
            found.setdefault(family.name, [])
            if family.type == "counter":
                found.setdefault(total, [])
            for sample in family.samples:
                found.setdefault(sample.name, []).append(_Sample(sample.labels, sample.value))
                if family.type == "counter" and sample.name == total:
                    found[family.name].append(_Sample(sample.labels, sample.value))
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise RunnerError(f"the page of counters is no Prometheus text: {error}") from None
    return found


def _wanted_lines(page: str, series: Sequence[str]) -> str:
    """The lines about the wanted series: the parser's time grows with the square of a line's
    length, and what a runner says of other things need not be right."""
    if len(page) > LARGEST_PAGE:
        raise RunnerError(f"the page of counters is longer than {LARGEST_PAGE >> 20} Mi characters")
    either = "|".join(f"{re.escape(name.removesuffix('_total'))}(?:_total)?" for name in series)
    wanted = re.compile(rf"(?:# (?:TYPE|HELP) +)?(?:{either})(?=[ \t{{])")
    lines = [line for line in page.split("\n") if wanted.match(line)]
    if any(len(line) > LONGEST_LINE for line in lines):
        raise RunnerError(f"a line of the counters is longer than {LONGEST_LINE} characters")
    return "\n".join([*lines, ""])


def _total(found: Mapping[str, list[_Sample]], name: str) -> int:
    if name not in found:
        raise RunnerError(f"the counter {name} is not exposed by this build of the runner")
    return sum(_whole(name, sample.value) for sample in found[name])


def _per_position(
    found: Mapping[str, list[_Sample]], names: CounterNames
) -> tuple[int, ...] | None:
    if names.per_position is None:
        return None
    counts: dict[int, int] = {}
    for sample in found.get(names.per_position, []):
        label = sample.labels.get(names.position_label, "")
        if not (label.isascii() and label.isdigit() and len(label) <= 4):
            raise RunnerError(f"{names.per_position}: {label[:40]!r} is not a draft position")
        position = int(label)
        if position >= MOST_POSITIONS:
            raise RunnerError(f"{names.per_position}: {position} is not a draft position")
        counts[position] = counts.get(position, 0) + _whole(names.per_position, sample.value)
    return tuple(counts.get(position, 0) for position in range(max(counts, default=-1) + 1))


def _whole(name: str, value: float) -> int:
    # The comparison is also false for NaN.
    if not 0 <= value <= LARGEST_TOTAL or value != int(value):
        raise RunnerError(
            f"the counter {name} reads {value}, which is no number of tokens or steps"
        )
    return int(value)
