"""A server behind an OpenAI-compatible API: requests, and the drafts as far as it tells of them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    NextToken,
    Request,
    RequestError,
    Review,
    RunnerError,
)
from runners.base.counters import read_counters, read_total
from runners.base.stream import fetch, open_stream
from runners.base.told import Told
from runners.endpoint.chat import Answer, Chunk
from runners.endpoint.form import Form
from runners.endpoint.holder import Holder
from runners.endpoint.kinds import Counting, Kind
from runners.endpoint.url import Url

SMALL_REQUEST_S = 30.0
"""Limit for the untimed requests: counters."""
ASK_AGAIN_S = 0.05


@dataclass(frozen=True)
class Api:
    """Where requests go, and what is known of the server there."""

    url: Url
    kind: Kind
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold a key."""

    @property
    def chat(self) -> str:
        if self.kind.chat is not None:
            return self.url.root + self.kind.chat
        return f"{self.url.api}/chat/completions"


class EndpointServer:
    """One launch of ours, or one visit to a server of somebody else's."""

    def __init__(self, api: Api, form: Form, holder: Holder, remark: str | None = None) -> None:
        self._api = api
        self._form = form
        self._holder = holder
        self._remark = remark
        self._told = Told()
        self._received = 0
        """Tokens of all answers, of which none is broken off."""
        self._broken_off = False
        self._before: _Page | None = None
        """What the counters had counted before this visit."""
        self._shared: str | None = None
        """That the counters count what others asked for as well, with the figures."""

    @property
    def pid(self) -> int | None:
        return self._holder.pid

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        """As the contract says; the bursts come when the answer is over.

        Only the end of an answer tells how many tokens it has, and their times are the arrivals'.
        """
        body = self._form.body(request)
        if self._api.kind.salted:
            body["cache_salt"] = secrets.token_hex(8)
        answer = Answer(chunk_is_step=self._api.kind.chunk_is_step, limit=request.max_tokens)
        self._told.begin()
        finished = False
        try:
            async with open_stream(
                self._api.chat, body, timeout_s=request.timeout_s, headers=self._api.headers
            ) as stream:
                async for event in stream:
                    if event.data.strip() == "[DONE]":
                        break
                    answer.add(event.at, Chunk.parse(event.data))
                bursts, completion = answer.finish(stream.sent_at)
            finished = True
        except RequestError as error:
            raise await self._holder.explain(error) from None
        finally:
            self._broken_off |= not finished
        self._told.add(completion)
        self._received += completion.output_tokens or 0
        for burst in bursts:
            yield burst
        yield completion

    async def counters(self) -> Counters | None:
        """What the counters have counted since they were first asked for."""
        counting = self._api.kind.counting
        if counting is None or self._shared is not None:
            return None
        deadline = asyncio.get_running_loop().time() + counting.lag_s
        while True:
            page = await self._page(counting)
            if page is None:
                return None
            if self._before is None:
                self._before = page
            counters = page.counters.since(self._before.counters)
            if not page.counts_steps:
                # Each step yields its accepted tokens and one of its own.
                counters = replace(counters, steps=self._received - counters.accepted)
            if page.tokens is None or self._before.tokens is None or self._broken_off:
                return counters
            counted = page.tokens - self._before.tokens
            if counted == self._received:
                return counters
            # The answer may be here before it is counted.
            if counted > self._received or asyncio.get_running_loop().time() > deadline:
                if not counted:
                    # Declared and never counted: nothing to hold against.
                    self._before = replace(self._before, tokens=None)
                    return counters
                self._shared = (
                    f"its counters counted {counted} tokens, and this run received "
                    f"{self._received}: the server has other users, and the counters say nothing "
                    "of these requests alone"
                )
                return None
            await asyncio.sleep(ASK_AGAIN_S)

    async def _page(self, counting: Counting) -> _Page | None:
        try:
            reply = await fetch(
                self._api.url.root + counting.path,
                timeout_s=SMALL_REQUEST_S,
                headers=self._api.headers,
            )
        except RequestError as error:
            raise await self._holder.explain(error) from None
        if reply.status != 200:
            return None
        return _read(reply.body.decode(errors="replace"), counting)

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        """Chat completions cannot be asked about a place in an answer."""
        return None

    async def review(self) -> Review:
        try:
            counters = await self.counters()
        except RunnerError:
            counters = None
        counted = {} if counters is None else {"counters": (counters.accepted, counters.drafted)}
        return Review(self._remark, self._shared or self._told.disagreement(counted))

    async def stop(self) -> None:
        await self._holder.stop()


@dataclass(frozen=True)
class _Page:
    """What a page of counters says."""

    counters: Counters
    counts_steps: bool
    tokens: int | None
    """Generated in all; None where it is not told."""


def _read(page: str, counting: Counting) -> _Page | None:
    """None where none of the names is exposed, or the page cannot be read."""
    found = []
    for names in counting.names:
        with contextlib.suppress(RunnerError):
            found.append((read_counters(page, names), names.steps is not None))
    if not found:
        return None
    counters, counts_steps = max(found, key=lambda each: each[0].drafted or 0)
    tokens = None
    if counting.tokens is not None:
        with contextlib.suppress(RunnerError):
            tokens = read_total(page, counting.tokens)
    return _Page(counters, counts_steps, tokens)
