"""Requests that `runners.base.stream` has no verb or no body for: a file sent, a model deleted."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from runners.base.contract import RequestError, UsageError

LONGEST = 300
"""Characters of a server's own words."""


@contextmanager
def connect(address: str, timeout_s: float) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """A connection to an address, and what stands before every path there.

    `timeout_s` bounds each send and each read.

    Raises:
        UsageError: it is no address.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{address!r} is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{address!r} is no address that starts with http:// or https://")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=timeout_s)
    try:
        yield connection, parts.path.rstrip("/")
    finally:
        connection.close()


def send_file(address: str, target: str, path: Path, timeout_s: float) -> None:
    """POST a file, read from disk while it is sent.

    Raises:
        RequestError: it cannot be read, or the server does not take it.
    """
    try:
        with connect(address, timeout_s) as (connection, prefix), path.open("rb") as file:
            connection.request(
                "POST",
                f"{prefix}{target}",
                body=file,
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(path.stat().st_size),
                },
            )
            answer = connection.getresponse()
            said = answer.read(1 << 16).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise RequestError(f"{path} cannot be sent: {error}") from None
    if answer.status >= 400:
        raise RequestError(f"{path} was not taken: HTTP {answer.status}: {said[:LONGEST]}")


def status_of(address: str, method: str, target: str, body: bytes, timeout_s: float) -> int:
    """The HTTP status of a request whose answer says nothing else.

    Raises:
        RequestError: not reachable, or broken off.
    """
    try:
        with connect(address, timeout_s) as (connection, prefix):
            kind = {"Content-Type": "application/json"} if body else {}
            connection.request(method, f"{prefix}{target}", body=body or None, headers=kind)
            answer = connection.getresponse()
            answer.read(1 << 16)
            return answer.status
    except (OSError, http.client.HTTPException) as error:
        raise RequestError(f"{method} {target} failed: {error}") from None
