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
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httptools

from runners.base.contract import RequestError, UsageError

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

LONGEST_MESSAGE = 500
"""Characters of a server's own error text that are passed on."""
LARGEST_BODY = 64 * 2**20
"""Bytes; an answer of `fetch` that is larger is refused."""
LARGEST_ERROR = 2**20
LARGEST_EVENT = 16 * 2**20
"""Bytes; a stream with a larger event is refused."""
LARGEST_HEAD = 64 * 2**10
READ_SIZE = 64 * 2**10
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
    exchange = await _Exchange.open("POST", url, payload, sent, timeout_s)
    try:
        status = await exchange.status()
        kind = exchange.content_type
        if status >= 400:
            body = await exchange.rest(LARGEST_ERROR)
            raise RequestError(f"HTTP {status}: {_message(body)}")
        if kind.partition(";")[0].strip().lower() != "text/event-stream":
            body = await exchange.rest(LARGEST_ERROR)
            raise RequestError(
                f"the server answered with {kind or 'no content type'} (HTTP {status}), "
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
        status = await exchange.status()
        body = await exchange.rest(LARGEST_BODY + 1)
    finally:
        exchange.close()
    if len(body) > LARGEST_BODY:
        raise RequestError(f"the answer of {url} is larger than {LARGEST_BODY >> 20} MiB")
    return Reply(status, body)


class _Turns:
    """Wakes one waiting task in each round of the event loop.

    Between two tasks' work the loop then takes in, and stamps, all that has arrived meanwhile:
    with many streams a stamp waits for one event to be parsed, not for one of each stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        self._waiting.append(waiter)
        if not self._busy:
            self._busy = True
            self._next()

    def _next(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._loop.call_soon(self._next)
                return
        self._busy = False


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


class _Wire(asyncio.BufferedProtocol):
    """One connection: keeps every read with the time at which it came in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turns = _turns.setdefault(loop, _Turns(loop))
        # asyncio's plain Protocol makes a new buffer of 256 KiB for every read.
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._reads: deque[tuple[float, bytes]] = deque()
        self._backlog = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: RequestError | None = None
        self._ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._reads.append((time.perf_counter(), bytes(self._buffer[:nbytes])))
        self._backlog += nbytes
        if self._backlog > LARGEST_BACKLOG and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.fail(RequestError(f"the server broke the connection: {exc}", server_lost=True))
        self._ended = True
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
            if self._ended:
                return time.perf_counter(), b""
            self._waiter = self._loop.create_future()
            await self._waiter
        read = self._reads.popleft()
        self._backlog -= len(read[1])
        if self._paused and not self._reads and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return read

    def _wake(self) -> None:
        if self._waiter is not None:
            self._turns.wake(self._waiter)
            self._waiter = None


class _Exchange:
    """One request on a connection of its own; takes HTTP's framing off the answer."""

    def __init__(self, wire: _Wire, timer: asyncio.TimerHandle) -> None:
        self._wire = wire
        self._timer = timer
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._at = 0.0
        self._head_size = 0
        self._head_done = False
        self._framed = False
        self._over = False
        self._broken: RequestError | None = None
        self.content_type = ""
        self.sent_at = 0.0

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
        body = b"" if payload is None else json.dumps(payload).encode()
        fields = {"Host": authority, "Connection": "close", "Accept-Encoding": "identity"}
        if payload is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = _request_head(method, target, fields | dict(headers))
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        late = RequestError(f"the request had no end after {timeout_s:g} s")
        try:
            async with asyncio.timeout_at(until):
                transport, wire = await loop.create_connection(lambda: _Wire(loop), host, port)
        except TimeoutError:
            raise late from None
        except OSError as error:
            raise RequestError(
                f"no connection to {authority}: {_reason(error)}", server_lost=True
            ) from None
        exchange = cls(wire, loop.call_at(until, wire.fail, late))
        # Before the write: the server may have the bytes before the call returns.
        exchange.sent_at = time.perf_counter()
        transport.write(head + body)
        return exchange

    async def status(self) -> int:
        """The answer's status, once its headers are in."""
        while not self._head_done:
            await self._feed()
        return self._parser.get_status_code()

    async def body(self) -> tuple[float, list[bytes]] | None:
        """The next pieces of the body and when they came in; None at the end."""
        while not self._pieces:
            if self._over:
                return None
            await self._feed()
        pieces, self._pieces = self._pieces, []
        return self._at, pieces

    async def rest(self, limit: int) -> bytes:
        """What is left of the body; stops early once it has `limit` bytes or more."""
        body = bytearray()
        while len(body) < limit and (more := await self.body()) is not None:
            body += b"".join(more[1])
        return bytes(body)

    def close(self) -> None:
        self._timer.cancel()
        if self._wire.transport is not None:
            self._wire.transport.abort()

    async def _feed(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._at, data = await self._wire.read()
        if not data:
            if self._framed or not self._head_done:
                what = "before the end of its answer" if self._head_done else "without an answer"
                raise RequestError(f"the server closed the connection {what}", server_lost=True)
            self._over = True
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What stood before the error in this read is passed on first.
            self._broken = RequestError(f"the server does not speak HTTP as it should: {error}")
        if not self._head_done:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                reason = f"headers are longer than {LARGEST_HEAD >> 10} KiB"
                raise RequestError(f"the server does not speak HTTP as it should: {reason}")

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.content_type = value.decode("latin-1").strip()
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        # 1xx: only a sign of life, the answer follows.
        self._head_done = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._over = self._head_done


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


def _request_head(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    if not all(line.isascii() and line.isprintable() for line in lines) or " " in target:
        raise UsageError("an address or header holds characters that HTTP does not allow there")
    return "\r\n".join([*lines, "", ""]).encode()


def _reason(error: OSError) -> str:
    """asyncio words its own errors; the system's words are plainer."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


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
