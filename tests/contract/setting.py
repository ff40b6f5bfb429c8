"""What the contract's tests are run on: one launch of a runner, and how to put it under strain."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, Message, OptionValue, Request, Runner, Server
from tests.models.export import Family
from tests.transcripts.asks import PROMPT, TOKENS

ASK = Request((Message("user", PROMPT),), max(TOKENS), timeout_s=60)
"""Greedy, and longer than a draft."""
LONG = Request(ASK.messages, 800, timeout_s=60)
"""Long enough to be disturbed."""

IDS = "token ids"
PROMPT_TOKENS = "prompt tokens"
CACHED = "cached tokens"
DRAFTED = "drafted"
ACCEPTED = "accepted"
STEPS = "steps"
COUNTERS = "counters"
POSITIONS = "accepted tokens by position"
NEXT = "next tokens"
COUNTS = "tokens of each chunk"
ALL = frozenset(
    {IDS, PROMPT_TOKENS, CACHED, DRAFTED, ACCEPTED, STEPS, COUNTERS, POSITIONS, NEXT, COUNTS}
)


@dataclass(frozen=True)
class Setting:
    """A runner, one launch of it, and what must hold of them."""

    runner: Runner
    spec: LaunchSpec
    drafts: bool
    """Whether the launch speculates."""
    tells: frozenset[str] = ALL
    """What it exposes; the rest is None."""
    ask: Request = ASK
    long: Request = LONG
    refused: tuple[str, OptionValue] | None = ("no-such-option", 1)
    """An option that it has not."""
    missing: LaunchSpec | None = None
    """A launch of a model that is not there; None: too dear to try, or there is none."""
    secret: str | None = None
    """What must stand nowhere."""
    kill: Callable[[Server], None] = lambda server: os.kill(server.pid or 0, signal.SIGKILL)
    slowly: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """Within it, `long` does not end by itself."""
    known: dict[str, int] = field(default_factory=dict)
    """Fields of the answer to `ask` whose values are known."""
    pages: Callable[[Server], str | None] = lambda _: None
    """Address of an OpenAI-compatible API that the launch has besides."""


@dataclass(frozen=True)
class Stand:
    """Makes a setting for as long as tests need it."""

    name: str
    make: Callable[[Family, Path], AbstractContextManager[Setting]]
    why_absent: str | None = None
    live: bool = False

    def parameter(self) -> object:
        """For pytest."""
        marks = [pytest.mark.live] if self.live else []
        if self.why_absent is not None:
            marks.append(pytest.mark.skip(reason=self.why_absent))
        return pytest.param(self, id=self.name, marks=marks)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield
