"""What a server's counters say of the requests of one visit, held against what was received."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from runners.base.contract import Counters, RunnerError
from runners.base.counters import read_counters, read_total
from runners.endpoint.kinds import Counting

RESTARTED = (
    "its counters have gone back: the server was started anew between two requests, and they say "
    "nothing of this run"
)


@dataclass(frozen=True)
class Page:
    """A reading."""

    counters: Counters
    counts_steps: bool
    tokens: int | None
    """Generated in all; None where it is not told."""


def read_page(text: str, counting: Counting) -> Page | None:
    """None where none of the names is exposed, or the page cannot be read."""
    found = []
    for names in counting.names:
        with contextlib.suppress(RunnerError):
            found.append((read_counters(text, names), names.steps is not None))
    if not found:
        return None
    counters, counts_steps = max(found, key=lambda each: each[0].drafted or 0)
    tokens = None
    if counting.tokens is not None:
        with contextlib.suppress(RunnerError):
            tokens = read_total(text, counting.tokens)
    return Page(counters, counts_steps, tokens)


class Tally:
    """One visit. Requests come one after the other, with a reading before and after each."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the counters say nothing of this visit; None while they do."""
        self._first: Page | None = None
        self._last: Page | None = None
        self._steps = 0
        self._all = 0
        """Tokens received in the whole visit."""
        self._fresh = self._chunks = 0
        """Tokens received since the last reading, and in how many chunks: each holds the tokens of
        a step at least, or is not counted."""
        self._broken_off = False

    def add(self, tokens: int, chunks: int) -> None:
        """An answer is whole."""
        self._all += tokens
        self._fresh += tokens
        self._chunks += chunks

    def break_off(self) -> None:
        """An answer is not: nobody here knows how many tokens it had."""
        self._broken_off = True

    def read(self, page: Page, *, late: bool) -> Counters | None:
        """What was counted since the first reading; None: not all is counted yet, or `reason`.

        `late`: the server had its time to count.
        """
        if self._first is None or self._last is None:
            self._first = self._last = page
        since, counted = page.counters.since(self._last.counters), None
        if page.tokens is not None and self._last.tokens is not None:
            counted = page.tokens - self._last.tokens
        if min(since.accepted, since.steps, since.drafted or 0, counted or 0) < 0:
            self.reason = RESTARTED
            return None
        generated = self._fresh
        if self._broken_off:
            # It may go on for a while.
            if not late:
                return None
            generated = max(generated, counted or 0)
        elif counted is not None and counted != self._fresh:
            if counted < self._fresh and not late:
                return None
            if page.tokens != self._first.tokens:
                others = "the server has other users"
                why = others if counted > self._fresh else "they lag behind, or count otherwise"
                self.reason = (
                    f"its counters counted {counted} tokens where {self._fresh} were received: "
                    f"{why}, and say nothing of these requests alone"
                )
                return None
            # Declared and never counted: nothing to hold against.
            page = replace(page, tokens=None)
        if page.counts_steps:
            self._steps += since.steps
        else:
            # A step yields its accepted tokens and one of its own. Of the last step more may be
            # accepted than the limit lets through.
            least = max(self._chunks, min(generated, 1))
            self._steps += max(generated - since.accepted, least)
        self._last, self._fresh, self._chunks, self._broken_off = page, 0, 0, False
        return replace(page.counters.since(self._first.counters), steps=self._steps)
