"""A server behind an OpenAI-compatible API: requests, and the drafts as far as it tells of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

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
from runners.base.exchange import hidden, secret_of
from runners.base.stream import fetch, open_stream
from runners.base.told import Told
from runners.endpoint.chat import Answer, Chunk
from runners.endpoint.form import Form
from runners.endpoint.holder import Holder
from runners.endpoint.kinds import Counting, Kind
from runners.endpoint.tally import Page, Tally, read_page
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
    ours: bool = False
    """Whether bench has started the server."""

    @property
    def chat(self) -> str:
        if self.kind.chat is not None:
            return self.url.root + self.kind.chat
        return f"{self.url.api}/chat/completions"


class EndpointServer:
    """One launch of ours, or one visit to a server of somebody else's."""

    def __init__(
        self,
        api: Api,
        form: Form,
        holder: Holder,
        remark: str | None = None,
        slots: int | None = None,
    ) -> None:
        self._api = api
        self._form = form
        self._holder = holder
        self._remark = remark
        self._slots = slots
        self._told = Told()
        self._tally = Tally()

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
        kind = self._api.kind
        answer = Answer(kind, limit=request.max_tokens, unmerged=self._api.ours)
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
            raise await self._holder.explain(self._without_key(error)) from None
        finally:
            if not finished:
                self._tally.break_off()
        self._told.add(completion)
        chunks = answer.chunks if kind.chunk_is_step else 0
        self._tally.add(completion.output_tokens or 0, chunks)
        for burst in bursts:
            yield burst
        yield completion

    async def counters(self) -> Counters | None:
        """What the counters have counted since they were first asked for."""
        counting = self._api.kind.counting
        if counting is None or self._tally.reason is not None:
            return None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + counting.lag_s
        while True:
            page = await self._page(counting)
            if page is None:
                return None
            # The answer may be here before it is counted.
            counters = self._tally.read(page, late=loop.time() > deadline)
            if counters is not None or self._tally.reason is not None:
                return counters
            await asyncio.sleep(ASK_AGAIN_S)

    def _without_key(self, error: RequestError) -> RequestError:
        said = hidden(str(error), secret_of(self._api.headers))
        return RequestError(said, server_lost=error.server_lost, status=error.status)

    async def _page(self, counting: Counting) -> Page | None:
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
        return read_page(reply.body.decode(errors="replace"), counting)

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
        disagreement = self._tally.reason or self._told.disagreement(counted)
        return Review(self._remark, disagreement, slots=self._slots)

    async def stop(self) -> None:
        await self._holder.stop()
