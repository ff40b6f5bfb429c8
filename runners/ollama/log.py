"""What the log of `ollama serve` tells: its own end, its llama-server, and what that said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runners.base.failure import lines_of
from runners.base.process import log_tail

LONGEST = 300
NO_PORT = "address already in use"

# Go's text log quotes a value that holds spaces, such as llama-server's command line.
_STARTED = re.compile(r'msg="starting llama-server" cmd=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_LISTENING = re.compile(r'msg="Listening on \S*:(\d+) ')
_ERROR = re.compile(
    r"(?:Error: (.+)|.*level=(?:ERROR|FATAL).* msg=(.+)|((?:panic|fatal error): .+))"
)
_DONE = "prompt eval time ="
"""A line of llama-server's for every answer."""
_NO_DRAFTS = re.compile(
    r"(?=.*(?:specul|draft|\bMTP\b))(?=.*(?:not support|unsupported|disabl|fail|ignor|error)).*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Child:
    """The llama-server of a loaded model, as its command line has it."""

    port: int
    spec_type: str | None
    """None: no way of speculating was passed."""
    draft_tokens: int | None
    templates: bool
    """Whether it has the model's own chat template: of some families Ollama writes the prompts."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def child_of(log: Path) -> Child | None:
    """The llama-server that was started last; None where the log names none."""
    found = None
    for line in lines_of(log):
        if (match := _STARTED.search(line)) is not None:
            found = match[1] or match[2]
    words = (found or "").replace('\\"', '"').split()
    port = _after("--port", words)
    if port is None or not port.isdecimal():
        return None
    drafts = _after("--spec-draft-n-max", words) or ""
    return Child(
        int(port),
        _after("--spec-type", words),
        int(drafts) if drafts.isdecimal() else None,
        "--no-jinja" not in words,
    )


def listens_on(log: Path, port: int) -> bool:
    """Whether the server says that the port is its own."""
    return any((m := _LISTENING.search(line)) and int(m[1]) == port for line in lines_of(log))


def answers_in(log: Path) -> int:
    """Answers that llama-server has logged."""
    return sum(_DONE in line for line in lines_of(log))


def why(log: Path) -> str | None:
    """The last error that the server logged; None: no error."""
    reason = None
    for line in log_tail(log, lines=60, longest=2000).splitlines():
        if (match := _ERROR.match(line)) is not None:
            reason = next(group for group in match.groups() if group)
    return None if reason is None else reason.replace('"', "")[:LONGEST]


def remark_of(log: Path) -> str | None:
    """What llama-server says against drafting, in its own words."""
    said = dict.fromkeys(
        " ".join(line.split())
        for line in lines_of(log)
        if "level=" not in line and _NO_DRAFTS.match(line)
    )
    return "; ".join(said)[:LONGEST] or None


def _after(flag: str, words: list[str]) -> str | None:
    at = words.index(flag) + 1 if flag in words else len(words)
    return words[at] if at < len(words) else None
