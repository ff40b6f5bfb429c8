"""What a vLLM's log says of why it ended."""

from __future__ import annotations

import re
from pathlib import Path

READ_BYTES = 4 << 20
"""Of the end of the log: the first error stands long before the last."""
LONGEST = 500

_PREFIX = re.compile(
    r"^(?:\([\w-]+ pid=\d+\) )?(?:(?:ERROR|CRITICAL) \d\d-\d\d [\d:.]+ \[[^\]]*\] ?)?"
)
_ERROR = re.compile(r"(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception|NotImplemented)): ?(.*)")
_VAGUE = (
    "Engine core initialization failed",
    "EngineCore encountered an issue",
    "Engine core proc",
    "WorkerProc initialization failed",
    "Worker failed with error",
    "Executor failed",
    "cancelled",
)
"""What one of its processes says of another one that failed."""
_CHOSEN = re.compile(
    r"speculative_config=SpeculativeConfig\(method='(\w+)'.*?num_spec(?:ulative)?_tokens=(\d+)"
)
_USAGE = re.compile(r"^\S+: error: (.*)")


def size_of(log: Path) -> int:
    """Bytes written so far; 0 where there is no log."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def method_of(log: Path) -> tuple[str, int] | None:
    """The method that vLLM chose, in its own words, and its draft length; None: no speculation."""
    found = _CHOSEN.search(_read(log, 0))
    return None if found is None else (found[1], int(found[2]))


def why(log: Path, since: int = 0) -> str | None:
    """The error that ended it: the first after `since` bytes that says more than that it did.

    None where the log tells of none.
    """
    lines = [_PREFIX.sub("", line, count=1) for line in _read(log, since).splitlines()]
    for at, line in enumerate(lines):
        if (usage := _USAGE.match(line)) is not None:
            return usage[1][:LONGEST]
        if (found := _ERROR.match(line)) is None:
            continue
        kind, said = found[1], found[2].strip()
        if kind == "ValidationError":  # pydantic's, whose words stand on the next lines
            said = _validation(lines[at + 1 : at + 4]) or said
        if said and not any(words in said for words in _VAGUE):
            plain = kind in ("ValueError", "ValidationError", "RuntimeError")
            return (said if plain else f"{kind}: {said}")[:LONGEST]
    return None


def _validation(lines: list[str]) -> str | None:
    """'  Value error, There is no … [type=value_error, …]' without what frames it."""
    for line in lines:
        if line.startswith("  "):
            said = line.strip().removeprefix("Value error, ")
            return re.sub(r" \[type=\w+, .*$", "", said)
    return None


def _read(log: Path, since: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(since, size_of(log) - READ_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
