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

import httptools

from runners.base.contract import RequestError, UsageError
from runners.base.events import Decoder
from runners.base.wire import Wire

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

LONGEST_MESSAGE = 500
"""Characters of a server's own error text that are passed on."""
LARGEST_BODY = 64 * 2**20
"""Bytes; an answer of `fetch` that is larger is refused."""
LARGEST_ERROR = 2**20
LARGEST_HEAD = 64 * 2**10


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


class _Exchange:
    """One request on a connection of its own; takes HTTP's framing off the answer."""

    def __init__(self, wire: Wire, timer: asyncio.TimerHandle) -> None:
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
                transport, wire = await loop.create_connection(lambda: Wire(loop), host, port)
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
