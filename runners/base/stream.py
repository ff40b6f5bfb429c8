"""HTTP to a runner, with the arrival time of every event.

The time is taken in the event loop's read callback, before any parsing: parsing happens later, in
the task that asked for the event, so that one stream's work does not delay another's stamp more
than it must. Each request has a connection of its own, opened before the request's clock starts.
How the way of reading was chosen, with figures, stands in docs/client.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from runners.base.contract import RequestError
from runners.base.events import Decoder, LineDecoder
from runners.base.exchange import JSON, Exchange, hidden, message_of, secret_of

__all__ = ["JSON", "Event", "EventStream", "Reply", "fetch", "open_lines", "open_stream"]

LARGEST_BODY = 64 * 2**20
"""Bytes; an answer of `fetch` that is larger is refused."""
LARGEST_ERROR = 2**20


@dataclass(frozen=True)
class Event:
    """The payload of one server-sent event, or one line.

    `at` is the arrival, in seconds of `time.perf_counter`, of the read that completed it.
    """

    at: float
    data: str


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    software: str = ""
    """What the server calls itself in its headers."""


class _Decoder(Protocol):
    def feed(self, piece: bytes) -> list[str]: ...

    def close(self) -> list[str]: ...


class EventStream:
    """The events of one answer, in order. Made by `open_stream` and `open_lines`."""

    def __init__(self, exchange: Exchange, decoder: _Decoder) -> None:
        self._exchange = exchange
        self._decoder = decoder
        self._ready: deque[Event] = deque()
        self._at = exchange.sent_at
        self._over = False
        self.sent_at = exchange.sent_at
        """When the request's first byte was handed to the socket, on the clock of `Event.at`."""

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            await self._fill()
        return self._ready.popleft()

    async def _fill(self) -> None:
        more = await self._exchange.body()
        try:
            if more is None:
                self._over = True
                texts = self._decoder.close()
            else:
                self._at, pieces = more
                texts = [text for piece in pieces for text in self._decoder.feed(piece)]
        except ValueError as error:
            reason = f"the server's event stream is broken: {error}"
            raise RequestError(reason, server_lost=more is None) from None
        self._ready.extend(Event(self._at, text) for text in texts)


@asynccontextmanager
async def open_stream(
    url: str,
    payload: Mapping[str, JSON],
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[EventStream]:
    """POST `payload` as JSON to `url` and read the answer's server-sent events.

    `timeout_s` bounds the whole request, from connecting to the last event. Comments are skipped;
    '[DONE]' is an event like any other. Leaving the block closes the connection, which cancels
    the request in the servers that look for it.

    Raises:
        RequestError: on entering or while iterating: not reachable, refused, an HTTP error
            status, not an event stream, broken off, or not over after `timeout_s`.
    """
    sent = {"Accept": "text/event-stream", **(headers or {})}
    exchange = await Exchange.open("POST", url, payload, sent, timeout_s)
    try:
        await _check(exchange, ("text/event-stream",), "an event stream", sent)
        yield EventStream(exchange, Decoder())
    finally:
        exchange.close()


@asynccontextmanager
async def open_lines(
    url: str,
    payload: Mapping[str, JSON],
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[EventStream]:
    """As `open_stream`, of an answer that is a JSON object in each line.

    Raises:
        RequestError: as `open_stream`.
    """
    exchange = await Exchange.open("POST", url, payload, headers or {}, timeout_s)
    try:
        kinds = ("application/x-ndjson", "application/jsonl", "application/json")
        await _check(exchange, kinds, "lines of JSON", headers or {})
        yield EventStream(exchange, LineDecoder())
    finally:
        exchange.close()


async def fetch(
    url: str,
    payload: Mapping[str, JSON] | None = None,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    largest: int = LARGEST_BODY,
) -> Reply:
    """GET `url`, or POST `payload` as JSON to it. An HTTP error status is an answer like others.

    Raises:
        RequestError: not reachable, broken off, of more than `largest` bytes, or not over after
            `timeout_s`.
    """
    method = "GET" if payload is None else "POST"
    exchange = await Exchange.open(method, url, payload, headers or {}, timeout_s)
    try:
        status = await exchange.status()
        body = await exchange.rest(largest + 1)
    finally:
        exchange.close()
    if len(body) > largest:
        raise RequestError(f"the answer of {url} is larger than {largest >> 20} MiB")
    return Reply(status, body, exchange.software)


async def _check(
    exchange: Exchange, kinds: tuple[str, ...], words: str, headers: Mapping[str, str]
) -> None:
    """Whether what was asked for is coming.

    Raises:
        RequestError: an HTTP status that is none of success, or another type of content.
    """
    status = await exchange.status()
    secret = secret_of(headers)
    if status >= 400:
        said = message_of(await exchange.rest(LARGEST_ERROR), secret)
        raise RequestError(f"HTTP {status}: {said}", status=status)
    if exchange.location and status >= 300:
        place = hidden(exchange.location, secret)
        raise RequestError(f"HTTP {status}: the server sends on to {place:.200}")
    kind = exchange.content_type
    if kind.partition(";")[0].strip().lower() not in kinds:
        said = message_of(await exchange.rest(LARGEST_ERROR), secret)
        raise RequestError(
            f"the server answered with {hidden(kind, secret)[:200] or 'no content type'} "
            f"(HTTP {status}), "
            f"not with {words}: {said}"
        )
