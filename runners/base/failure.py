"""Logs of programs, and the error in them that ended a Python program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

READ_BYTES = 4 << 20
"""Of the end of the log: the first error stands long before the last."""
LONGEST_LINE = 1 << 16
LONGEST = 500

_ERROR = re.compile(r"(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception))(?:: ?(.*))?$")
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
"""The later one is meant for users, the earlier one for whoever wrote the code."""
_SPEAKING = (
    "ValueError",
    "ValidationError",
    "RuntimeError",
    "NotImplementedError",
    "OSError",
    "Exception",
)
"""Kinds of errors whose names add nothing to their words."""
# argparse's '<program>: error: …'; click's 'Error: …'; clap's 'error: …'.
_USAGE = re.compile(r"^(?:\S+(?: \w+)?: error|Error|error): (.*)")


@dataclass(frozen=True)
class Manner:
    """How one program writes its log."""

    prefix: re.Pattern[str]
    """What stands before the words of a line."""
    vague: tuple[str, ...] = ()
    """What one of its processes says of another one that failed."""
    plainly: Mapping[str, str] = field(default_factory=dict)
    """Words of its own -> what they mean to a user."""


def size_of(log: Path) -> int:
    """Bytes written so far; 0 where there is no log."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def read_end(log: Path, since: int = 0) -> str:
    """What was written after `since` bytes, and at most its last `READ_BYTES`; '' without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, size_of(log) - READ_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def lines_of(log: Path) -> Iterator[str]:
    """The lines of a log, long ones in parts; none without a log."""
    try:
        with log.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                yield line.decode(errors="replace").rstrip()
    except OSError:
        return


def first_error(text: str, manner: Manner) -> str | None:
    """The first error that says more than that there was one; None where the log tells of none."""
    lines = [manner.prefix.sub("", line, count=1) for line in text.splitlines()]
    reason: str | None = None
    chained = False
    for at, line in enumerate(lines):
        if (usage := _USAGE.match(line)) is not None and not _is_vague(usage[1], manner):
            return reason if reason is not None and not chained else _usage(usage[1])
        if line in _CHAINED:
            chained = True
        if (found := _ERROR.match(line)) is None:
            continue
        if reason is not None and not chained:
            return reason
        chained = False
        said = _said(found[1], (found[2] or "").strip(), lines, at, manner)
        if not _is_vague(said, manner):
            reason = said[:LONGEST]
    return reason


def _is_vague(said: str, manner: Manner) -> bool:
    return any(words in said for words in manner.vague)


def _usage(said: str) -> str:
    """argparse names the function that could not read a value: that tells nobody anything."""
    return re.sub(r"cannot be converted to <function .*>", "cannot be read", said)[:LONGEST]


def _said(kind: str, said: str, lines: list[str], at: int, manner: Manner) -> str:
    """The error of a line in words of its own."""
    if kind == "ValidationError":  # pydantic's, whose words stand on the next lines
        return _validation(lines[at + 1 : at + 4]) or said
    if not said:  # an assertion: all that there is to tell is its code
        code = [line.strip() for line in lines[max(0, at - 2) : at] if set(line) - set(" ^~")]
        return f"{kind} at: {code[-1]}" if code else kind
    said = next((ours for theirs, ours in manner.plainly.items() if theirs in said), said)
    return said if kind in _SPEAKING else f"{kind}: {said}"


def _validation(lines: list[str]) -> str | None:
    """'  Value error, There is no … [type=value_error, …]' without what frames it.

    The name of the field, where there is one, stands on a line of its own before it.
    """
    name = ""
    for line in lines:
        if line.startswith("  "):
            said = re.sub(r" \[type=\w+, .*$", "", line.strip().removeprefix("Value error, "))
            return f"{name}{said}"
        name = f"{line.strip()}: "
    return None
