"""HTTP to a runner, with the arrival time of every event.

The time is taken in the event loop's read callback, before any parsing: parsing happens later, in
the task that asked for the event, so that one stream's work does not delay another's stamp more
than it must. Each request has a connection of its own, opened before the request's clock starts.
How the way of reading was chosen, with figures, stands in docs/client.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

import h11

from runners.base.contract import RequestError, UsageError

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

LONGEST_MESSAGE = 500
"""Characters of a server's own error text that are passed on."""
LARGEST_BODY = 64 * 2**20
"""Bytes; an answer of `fetch` that is larger is refused."""
LARGEST_EVENT = 16 * 2**20
"""Bytes; a stream with a larger event is refused."""
LARGEST_BACKLOG = 4 * 2**20
"""Bytes read and not yet asked for, above which the connection is not read on for a while."""


@dataclass(frozen=True)
class Event:
    """The payload of one server-sent event.

    `at` is the arrival, in seconds of `time.perf_counter`, of the read that completed it.
    """

    at: float
    data: str


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes


class Decoder:
    """Server-sent events out of bytes, as the WHATWG standard reads them; data fields only."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, piece: bytes) -> list[str]:
        """The payloads of the events that `piece` completes.

        Raises:
            ValueError: an event is longer than 16 MiB.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        self._size += len(piece)
        if self._partial:
            self._partial += piece
            if b"\n" not in piece and b"\r" not in piece:
                self._check_size()
                return []
            piece = bytes(self._partial)
            self._partial.clear()
        lines = piece.splitlines()
        if not piece.endswith((b"\n", b"\r")):
            self._partial += lines.pop()
        events = []
        for line in lines:
            if not self._begun:
                self._begun = True
                line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif not line and self._data:
                events.append(self._take())
            elif line == b"data":
                self._data.append(b"")
        if events:
            self._size = 0
        else:
            self._check_size()
        return events

    def close(self) -> list[str]:
        """What is left at the end: several servers leave the last blank line away.

        Raises:
            ValueError: the end came in the middle of a line.
        """
        if self._partial:
            raise ValueError("it ended in the middle of an event")
        return [self._take()] if self._data else []

    def _take(self) -> str:
        text = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        return text

    def _check_size(self) -> None:
        if self._size > LARGEST_EVENT:
            raise ValueError(f"an event is longer than {LARGEST_EVENT >> 20} MiB")


class EventStream:
    """The events of one answer, in order. Made by `open_stream`."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._decoder = Decoder()
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
            piece = await self._exchange.body()
            try:
                if piece is None:
                    self._over = True
                    texts = self._decoder.close()
                else:
                    self._at, data = piece
                    texts = self._decoder.feed(data)
            except ValueError as error:
                reason = f"the server's event stream is broken: {error}"
                raise RequestError(reason, server_lost=piece is None) from None
            self._ready.extend(Event(self._at, text) for text in texts)
        return self._ready.popleft()


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
    exchange = await _Exchange.open("POST", url, payload, sent, timeout_s)
    try:
        head = await exchange.head()
        kind = _header(head, b"content-type")
        if head.status_code >= 400:
            body = await exchange.rest(2**20)
            raise RequestError(f"HTTP {head.status_code}: {_message(body)}")
        if kind.partition(";")[0].strip().lower() != "text/event-stream":
            body = await exchange.rest(2**20)
            raise RequestError(
                f"the server answered with {kind or 'no content type'} (HTTP {head.status_code}), "
                f"not with an event stream: {_message(body)}"
            )
        yield EventStream(exchange)
    finally:
        exchange.close()


async def fetch(url: str, payload: Mapping[str, JSON] | None = None, *, timeout_s: float) -> Reply:
    """GET `url`, or POST `payload` as JSON to it. An HTTP error status is an answer like others.

    Raises:
        RequestError: not reachable, broken off, larger than 64 MiB, or not over after `timeout_s`.
    """
    method = "GET" if payload is None else "POST"
    exchange = await _Exchange.open(method, url, payload, {}, timeout_s)
    try:
        head = await exchange.head()
        body = await exchange.rest(LARGEST_BODY + 1)
    finally:
        exchange.close()
    if len(body) > LARGEST_BODY:
        raise RequestError(f"the answer of {url} is larger than {LARGEST_BODY >> 20} MiB")
    return Reply(head.status_code, body)


class _Wire(asyncio.Protocol):
    """One connection: keeps every read with the time at which it came in."""

    def __init__(self) -> None:
        self._reads: deque[tuple[float, bytes]] = deque()
        self._backlog = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: RequestError | None = None
        self.ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._reads.append((time.perf_counter(), data))
        self._backlog += len(data)
        if self._backlog > LARGEST_BACKLOG and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.fail(RequestError(f"the server broke the connection: {exc}", server_lost=True))
        self.ended = True
        self._wake()

    def fail(self, failure: RequestError) -> None:
        """Give up the connection; what has been read can still be asked for."""
        self._failure = self._failure or failure
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    async def read(self) -> tuple[float, bytes]:
        """The next read and its time; b'' at the end.

        Raises:
            RequestError: the connection was reset or given up.
        """
        while not self._reads:
            if self._failure is not None:
                raise self._failure
            if self.ended:
                return time.perf_counter(), b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        read = self._reads.popleft()
        self._backlog -= len(read[1])
        if self._paused and not self._reads and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return read

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Exchange:
    """One request on a connection of its own; takes HTTP's framing off the answer."""

    def __init__(self, wire: _Wire, timer: asyncio.TimerHandle, sent_at: float) -> None:
        self._wire = wire
        self._timer = timer
        self._http = h11.Connection(h11.CLIENT)
        self._at = sent_at
        self.sent_at = sent_at

    @classmethod
    async def open(
        cls,
        method: str,
        url: str,
        payload: Mapping[str, JSON] | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> _Exchange:
        host, port, target, authority = _split(url)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        late = RequestError(f"the request had no end after {timeout_s:g} s")
        try:
            async with asyncio.timeout_at(until):
                _, wire = await loop.create_connection(_Wire, host, port)
        except TimeoutError:
            raise late from None
        except OSError as error:
            # asyncio words its own errors; the system's words are plainer.
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno) if known and error.errno else str(error)
            raise RequestError(
                f"no connection to {authority}: {reason}", server_lost=True
            ) from None
        body = b"" if payload is None else json.dumps(payload).encode()
        exchange = cls(wire, loop.call_at(until, wire.fail, late), time.perf_counter())
        try:
            exchange._send(method, target, {"Host": authority, **headers}, body)
        except BaseException:
            exchange.close()
            raise
        return exchange

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        fields = [*headers.items(), ("Accept-Encoding", "identity"), ("Connection", "close")]
        if body:
            fields += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        try:
            request = h11.Request(method=method, target=target, headers=fields)
        except h11.LocalProtocolError as error:
            raise UsageError(f"not a valid address or header: {error}") from None
        message = self._http.send(request) or b""
        if body:
            message += self._http.send(h11.Data(data=body)) or b""
        message += self._http.send(h11.EndOfMessage()) or b""
        assert self._wire.transport is not None
        # Before the write: the server may have the bytes before the call returns.
        self.sent_at = time.perf_counter()
        self._wire.transport.write(message)

    async def head(self) -> h11.Response:
        """The answer's status and headers."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise RequestError(
                    "the server closed the connection without an answer", server_lost=True
                )

    async def body(self) -> tuple[float, bytes] | None:
        """The next piece of the body and when it came in; None at the end."""
        event = await self._next()
        if isinstance(event, h11.Data):
            return self._at, bytes(event.data)
        return None

    async def rest(self, limit: int) -> bytes:
        """What is left of the body; stops early once it has `limit` bytes or more."""
        body = bytearray()
        while len(body) < limit and (piece := await self.body()) is not None:
            body += piece[1]
        return bytes(body)

    def close(self) -> None:
        self._timer.cancel()
        if self._wire.transport is not None:
            self._wire.transport.abort()

    async def _next(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._at, data = await self._wire.read()
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            if self._wire.ended:
                reason = "the server closed the connection before the end of its answer"
                raise RequestError(reason, server_lost=True) from None
            raise RequestError(f"the server does not speak HTTP as it should: {error}") from None
        return event


def _split(url: str) -> tuple[str, int, str, str]:
    """(host, port, target, authority)"""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise UsageError(f"not a valid address: {url!r}: {error}") from None
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"not an address that starts with http://: {url!r}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port, target, parts.netloc.rpartition("@")[2]


def _header(head: h11.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in head.headers if key == name), "")


def _message(body: bytes) -> str:
    """The server's own words, from `error.message`, `error` or the text itself."""
    text = body.decode("utf-8", "replace").strip()
    try:
        parsed = json.loads(text)
        error = parsed["error"]
        words = error["message"] if isinstance(error, dict) else error
        text = words if isinstance(words, str) else text
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return text[:LONGEST_MESSAGE] or "(no message)"
