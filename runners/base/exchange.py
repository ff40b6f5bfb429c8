"""One HTTP request on a connection of its own, with the times at which its answer came in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

import httptools

from runners.base.contract import RequestError, UsageError
from runners.base.wire import Wire

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

LONGEST_MESSAGE = 500
"""Characters of a server's own error text that are passed on."""
LARGEST_HEAD = 64 * 2**10
SHORTEST_SECRET = 7


class Exchange:
    """Takes HTTP's framing off the answer."""

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
        self._encoding = ""
        self.content_type = ""
        self.location = ""
        self.software = ""
        """What the server calls itself."""
        self.sent_at = 0.0

    @classmethod
    async def open(
        cls,
        method: str,
        url: str,
        payload: Mapping[str, JSON] | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Exchange:
        where = split_url(url)
        body = b"" if payload is None else json.dumps(payload).encode()
        fields = {"Host": where.authority, "Connection": "close", "Accept-Encoding": "identity"}
        if payload is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = _request_head(method, where.target, fields | dict(headers))
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        late = RequestError(f"the request had no end after {timeout_s:g} s")
        try:
            async with asyncio.timeout_at(until):
                transport, wire = await loop.create_connection(
                    lambda: Wire(loop),
                    where.host,
                    where.port,
                    ssl=_tls() if where.secure else None,
                )
        except TimeoutError:
            raise late from None
        except OSError as error:
            raise RequestError(
                f"no connection to {where.authority}: {_reason(error)}", server_lost=True
            ) from None
        exchange = cls(wire, loop.call_at(until, wire.fail, late))
        # Before the write: the server may have the bytes before the call returns.
        exchange.sent_at = time.perf_counter()
        transport.write(head + body)
        return exchange

    async def status(self) -> int:
        """The answer's status, once its headers are in.

        Raises:
            RequestError: no answer, or a compressed one: how it was cut would say nothing.
        """
        while not self._head_done:
            await self._feed()
        if self._encoding not in ("", "identity"):
            raise RequestError(
                f"the server compresses its answer ({self._encoding:.20}), though it was asked not "
                "to: its events cannot be timed"
            )
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
        elif name == b"server":
            self.software = value.decode("latin-1").strip()
        elif name == b"content-encoding":
            self._encoding = value.decode("latin-1").strip().lower()
        elif name == b"location":
            self.location = value.decode("latin-1").strip()
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        # 1xx: only a sign of life, the answer follows.
        self._head_done = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._over = self._head_done


@dataclass(frozen=True)
class Where:
    """A URL, taken apart."""

    host: str
    port: int
    target: str
    """Path and query."""
    authority: str
    """Host and port as the URL writes them."""
    secure: bool


def public_url(url: str, instead: str) -> SplitResult:
    """Take apart a URL that will stand in reports.

    Raises:
        UsageError: none, or one that holds a secret or more than a path; `instead` says what to
            do then. Nothing of what may be a secret is shown.
    """
    try:
        parts = urlsplit(url)
        named = parts.username is not None or parts.password is not None
    except ValueError:
        # Its own words may quote the URL.
        raise UsageError("not a valid URL: what stands for its host is none") from None
    if named:
        raise UsageError(
            "the URL holds a user name or password, which would be written into the report; "
            f"{instead}"
        )
    if not url.isascii():
        raise UsageError(
            "the URL holds other characters than ASCII: write its host as xn--… and its path "
            "with %-signs"
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"the URL holds more than a path: leave away what follows '?' or '#'; {instead}"
        )
    return parts


def split_url(url: str) -> Where:
    """Take a URL apart.

    Raises:
        UsageError: it is none, or not of http or https.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UsageError(f"not a valid address: {url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"not an address that starts with http:// or https://: {url!r}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = parts.netloc.rpartition("@")[2]
    return Where(parts.hostname, port, target, authority, parts.scheme == "https")


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's certificates; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others."""
    return ssl.create_default_context()


def _request_head(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    if not all(line.isascii() and line.isprintable() for line in lines) or " " in target:
        raise UsageError("an address or header holds characters that HTTP does not allow there")
    return "\r\n".join([*lines, "", ""]).encode()


def _reason(error: OSError) -> str:
    """asyncio words its own errors; the system's words are plainer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); a certificate of your own "
            "is trusted by SSL_CERT_FILE=FILE.pem"
        )
    if isinstance(error, ssl.SSLError):
        words = (error.reason or str(error)).replace("_", " ").lower()
        return f"no secure connection: {words}"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def message_of(body: bytes, secret: str = "") -> str:
    """The server's own words, from `error.message`, `error`, `message`, `detail` or the text.

    `secret` does not stand in it.
    """
    text = body.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, RecursionError):
        text = _words(json.loads(text)) or text
    return hidden(text, secret)[:LONGEST_MESSAGE] or "(no message)"


def secret_of(headers: Mapping[str, str]) -> str:
    """The key among the headers of a request; '' where there is none.

    'EMPTY' and 'none', which servers without keys are sent, are words like others.
    """
    key = headers.get("Authorization", "").rpartition(" ")[2]
    return key if len(key) >= SHORTEST_SECRET else ""


def hidden(text: str, secret: str) -> str:
    """The text of a server without the key that it was sent: some repeat it."""
    return text.replace(secret, "…") if secret else text


def _words(said: object) -> str | None:
    if isinstance(said, str):
        return said
    if not isinstance(said, dict):
        return None
    keys = ("error", "message", "detail")
    return next((words for key in keys if (words := _words(said.get(key))) is not None), None)
