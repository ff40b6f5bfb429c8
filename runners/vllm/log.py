"""What a vLLM's log says of why it ended."""

from __future__ import annotations

import re
from pathlib import Path

READ_BYTES = 4 << 20
"""Of the end of the log: the first error stands long before the last."""
LONGEST = 500

_PREFIX = re.compile(
    r"^(?:\([\w-]+(?: \w+=\d+)+\) )?(?:(?:ERROR|CRITICAL) \d\d-\d\d [\d:.]+ \[[^\]]*\] ?)?"
)
"""'(Worker_TP0 pid=31) ERROR 11-22 13:20:49 [core.py:1512] ' and what of it there is."""
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
_IN_PLAIN_WORDS = {
    "Unsupported speculative method: 'mtp'": "vLLM finds no MTP heads in the model's config.json",
}
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
    reason: str | None = None
    chained = False
    for at, line in enumerate(lines):
        if (usage := _USAGE.match(line)) is not None:
            return _usage(usage[1])
        if line in _CHAINED:
            chained = True
        if (found := _ERROR.match(line)) is None:
            continue
        if reason is not None and not chained:
            return reason
        chained = False
        said = _said(found[1], (found[2] or "").strip(), lines, at)
        if not any(words in said for words in _VAGUE):
            reason = said[:LONGEST]
    return reason


def _usage(said: str) -> str:
    """argparse names the function that could not read a value: that tells nobody anything."""
    return re.sub(r"cannot be converted to <function .*>", "cannot be read", said)[:LONGEST]


def _said(kind: str, said: str, lines: list[str], at: int) -> str:
    """The error of a line in words of its own."""
    if kind == "ValidationError":  # pydantic's, whose words stand on the next lines
        return _validation(lines[at + 1 : at + 4]) or said
    if not said:  # an assertion: all that there is to tell is its code
        code = [line.strip() for line in lines[max(0, at - 2) : at] if set(line) - set(" ^~")]
        return f"{kind} at: {code[-1]}" if code else kind
    said = next((ours for theirs, ours in _IN_PLAIN_WORDS.items() if theirs in said), said)
    return said if kind in _SPEAKING else f"{kind}: {said}"


def _validation(lines: list[str]) -> str | None:
    """'  Value error, There is no … [type=value_error, …]' without what frames it.

    The name of the field, where there is one, stands on a line of its own before it.
    """
    field = ""
    for line in lines:
        if line.startswith("  "):
            said = re.sub(r" \[type=\w+, .*$", "", line.strip().removeprefix("Value error, "))
            return f"{field}{said}"
        field = f"{line.strip()}: "
    return None


def _read(log: Path, since: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(since, size_of(log) - READ_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
