"""The outcome as GitHub annotations: workflow commands, one a line.

Escaping as in GitHub's own toolkit (packages/core/src/command.ts): in a message %, CR and LF, in a
property ':' and ',' too.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.gate import words
from harness.gate.decide import Decision
from harness.gate.verdict import Figure, Gate, Row, worst_first
from harness.report import escape

MOST = 10
"""Annotations of a level that GitHub shows of a step; the last one says how many there are more."""

_LEVELS = {
    Decision.REGRESSED: "error",
    Decision.INCONCLUSIVE: "warning",
    Decision.PASSED: "notice",
}

_TOLD = (Figure.LOSSLESS, Figure.ANSWERS, Figure.REQUESTS)
"""Figures that deserve a look where they cannot be told; the others are merely noisy."""


def render(gate: Gate) -> str:
    """The lines, each with its line end: the verdict, then the rows that are not plainly fine."""
    head = " ".join(filter(None, (words.headline(gate) + ".", words.power(gate))))
    found: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    decided = _LEVELS[gate.decision]
    found[decided].append(_command(decided, f"bench gate: {gate.decision}", head))
    for one in gate.differences:
        # Two sides of one run were made to differ.
        level = "warning" if one.forbids or not gate.paired else "notice"
        found[level].append(_command(level, "bench gate", words.difference(one)))
    for caution in words.cautions(gate):
        found["warning"].append(_command("warning", "bench gate", caution))
    for row in worst_first(gate.rows):
        worth = _level(row)
        if worth is not None:
            found[worth].append(_command(worth, row.trial, words.sentence(row)))
    return "".join(f"{line}\n" for level, lines in found.items() for line in _shown(level, lines))


def _level(row: Row) -> str | None:
    """None: not worth an annotation."""
    if row.decision is Decision.REGRESSED:
        return "error"
    if row.decision is Decision.INCONCLUSIVE:
        return "warning" if row.required or row.figure in _TOLD else None
    return "notice" if words.verdict(row) == words.IMPROVED else None


def _shown(level: str, lines: list[str]) -> Iterator[str]:
    if len(lines) <= MOST:
        yield from lines
        return
    yield from lines[: MOST - 1]
    more = len(lines) - MOST + 1
    yield _command(level, "bench gate", f"{more} more of this kind: see the job's summary")


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    text = escape.clean_lines(text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
