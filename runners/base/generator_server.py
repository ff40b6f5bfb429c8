"""A small HTTP server around something that generates tokens, for runners that are a library.

The library lives in a process of its own and this serves it on 127.0.0.1, one request at a time
and all of them in the thread that calls `serve`, because libraries tie models to threads. Nothing
but the standard library is imported, so that an interpreter without decodebench can use this file:
append its folder to `sys.path` and `import generator_server`.

    GET  /about        what the generator says of itself, as JSON
    GET  /counters     totals of speculation since the start, as JSON
    POST /generate     {"messages": [...], "max_tokens": n, "temperature": t, "seed": s}
                       -> server-sent events, one for each step; the last one has "done": true
    POST /next-tokens  {"messages": [...], "written": [ids], "count": n}
                       -> {"tokens": [[id, log-probability], ...]}, likeliest first; null where
                       the library does not tell

What a generator refuses is HTTP 400, what fails in it HTTP 500; after the first step both are an
event {"error": {"message": ...}} that ends the stream.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Protocol

LARGEST_BODY = 64 * 2**20
SILENT_CLIENT_S = 10.0
"""A client that neither sends nor takes anything for so long gives way to the next one."""


class RefusedError(Exception):
    """The request cannot be served; the text goes to the client."""


@dataclass(frozen=True)
class Asked:
    """One generation. `temperature` 0 is greedy."""

    messages: tuple[tuple[str, str], ...]
    """(role, content)"""
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True)
class Step:
    """One forward pass of the target that yielded tokens."""

    tokens: tuple[int, ...]
    text: str
    """What of the answer is whole characters by now."""
    drafted: int | None = 0
    """Draft tokens that the step verified; None: the library does not tell it of a step."""
    accepted: int = 0


@dataclass(frozen=True)
class End:
    """The last thing that a generation yields."""

    finish: str
    """'stop' (end of text) or 'length'."""
    prompt_tokens: int
    cached_tokens: int
    text: str = ""
    """What was held back in hope of whole characters."""
    peak_memory: int | None = None
    """Bytes that the library's own allocator held at most; None: it does not say."""
    drafted: int | None = None
    """Draft tokens of all steps whose `drafted` is None; None: not told of the answer either."""


class TokenGenerator(Protocol):
    """What the server stands around."""

    def about(self) -> Mapping[str, object]:
        """Plain JSON; `method` and, where they are known, the fields of `contract.Review`."""

    def generate(self, asked: Asked) -> Generator[Step | End, None, None]:
        """Steps as they are made, then one `End`. Closed early when the client goes away.

        Raises:
            RefusedError: the request cannot be served.
        """

    def next_tokens(
        self, messages: Sequence[tuple[str, str]], written: Sequence[int], count: int
    ) -> list[tuple[int, float]] | None:
        """The likeliest next tokens with the natural logarithms of their probabilities; None:
        the library does not tell them.

        Raises:
            RefusedError: the request cannot be served.
        """


def serve(generator: TokenGenerator) -> None:
    """Serve until the process is ended; the first line of standard output tells the address.

    Whatever is written to standard output from then on goes to standard error.
    """
    server = GeneratorServer(generator)
    print(json.dumps({"listening": server.address}), flush=True)
    os.dup2(2, 1)
    server.serve_forever()


class GeneratorServer(HTTPServer):
    """Listens on a free port of 127.0.0.1; `serve_forever` serves in the calling thread."""

    request_queue_size = 64

    def __init__(self, generator: TokenGenerator) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.generator = generator
        self.totals = _Totals()

    def server_bind(self) -> None:
        # HTTPServer's own asks for the host's name, which takes seconds on some machines.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@dataclass
class _Totals:
    drafted: int = 0
    untold: int = 0
    """Steps that may have drafted, and nobody told how much."""
    accepted: int = 0
    steps: int = 0
    per_position: list[int] = field(default_factory=list)

    def add(self, step: Step) -> None:
        if step.drafted is None:
            self.untold += 1
        else:
            self.drafted += step.drafted
        self.accepted += step.accepted
        self.steps += 1
        self.per_position += [0] * (step.accepted - len(self.per_position))
        for position in range(step.accepted):
            self.per_position[position] += 1

    def tell(self, drafted: int, steps: int) -> None:
        """What so many untold steps drafted in all."""
        self.drafted += drafted
        self.untold -= steps

    @property
    def told_drafts(self) -> int | None:
        return None if self.untold else self.drafted


class _ClientGoneError(Exception):
    """Nobody reads the answer any more."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SILENT_CLIENT_S
    server: GeneratorServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        # One request a connection: a client that keeps one open would lock all others out.
        self.close_connection = True
        self._streaming = False
        try:
            route = {
                ("GET", "/about"): self._about,
                ("GET", "/counters"): self._counters,
                ("POST", "/generate"): self._generate,
                ("POST", "/next-tokens"): self._next_tokens,
            }.get((self.command, self.path))
            if route is None:
                self._fail(404, f"no such page: {self.command} {self.path}")
            else:
                route()
        except _ClientGoneError:
            pass
        except RefusedError as error:
            self._fail(400, str(error))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._fail(500, f"{type(error).__name__}: {error}")

    def _about(self) -> None:
        self._reply(200, self.server.generator.about())

    def _counters(self) -> None:
        totals = self.server.totals
        body = {
            "drafted": totals.told_drafts,
            "accepted": totals.accepted,
            "steps": totals.steps,
            "per_position": totals.per_position,
        }
        self._reply(200, body)

    def _next_tokens(self) -> None:
        body = self._body()
        with _readable():
            messages = _messages(body)
            written = [int(token) for token in body["written"]]
            count = int(body["count"])
        tokens = self.server.generator.next_tokens(messages, written, count)
        self._reply(200, {"tokens": tokens})

    def _generate(self) -> None:
        received_at = time.perf_counter()
        body = self._body()
        with _readable():
            asked = Asked(
                messages=_messages(body),
                max_tokens=int(body["max_tokens"]),
                temperature=float(body.get("temperature", 0.0)),
                seed=int(body.get("seed", 0)),
            )
            if asked.max_tokens < 1:
                raise ValueError("max_tokens must be at least 1")
        parts = self.server.generator.generate(asked)
        try:
            self._stream(parts, received_at)
        finally:
            parts.close()

    def _stream(self, parts: Iterator[Step | End], received_at: float) -> None:
        count = _Totals()
        tokens = first_tokens = 0
        first_at = last_at = received_at
        for part in parts:
            now = time.perf_counter()
            if isinstance(part, End):
                if part.drafted is not None:
                    for totals in (self.server.totals, count):
                        totals.tell(part.drafted, count.untold)
                done = {
                    "done": True,
                    "finish": part.finish,
                    "text": part.text,
                    "prompt_tokens": part.prompt_tokens,
                    "cached_tokens": part.cached_tokens,
                    "output_tokens": tokens,
                    "first_burst": first_tokens,
                    "prefill_s": first_at - received_at,
                    "decode_s": last_at - first_at,
                    "drafted": count.told_drafts,
                    "accepted": count.accepted,
                    "steps": count.steps,
                    "peak_memory": part.peak_memory,
                }
                self._event(done)
                self._write(b"0\r\n\r\n")
                return
            if not count.steps:
                first_at, first_tokens = now, len(part.tokens)
            last_at = now
            tokens += len(part.tokens)
            for totals in (count, self.server.totals):
                totals.add(part)
            self._event({"tokens": part.tokens, "text": part.text})
        raise RuntimeError("the generation ended without its end")

    # ---- reading and writing ----------------------------------------------------------------

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 12):
            raise RefusedError("the request does not tell its length")
        if int(length) > LARGEST_BODY:
            raise RefusedError(f"the request is larger than {LARGEST_BODY >> 20} MiB")
        try:
            data = self.rfile.read(int(length))
        except OSError:
            raise _ClientGoneError from None
        if len(data) < int(length):
            raise _ClientGoneError
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise RefusedError("the request is no JSON") from None
        if not isinstance(body, dict):
            raise RefusedError("the request is no JSON object")
        return body

    def _event(self, body: Mapping[str, object]) -> None:
        if not self._streaming:
            # Not before the first step: until then a failure can still have an HTTP status.
            self._streaming = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self._end_head()
        data = b"data: %s\n\n" % json.dumps(body).encode()
        # Not buffered, and TCP_NODELAY is on: one write is one send.
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def _reply(self, status: int, body: Mapping[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self._end_head()
        self._write(data)

    def _fail(self, status: int, message: str) -> None:
        body = {"error": {"message": message}}
        try:
            if self._streaming:
                self._event(body)
                self._write(b"0\r\n\r\n")
            else:
                self._reply(status, body)
        except _ClientGoneError:
            pass

    def _end_head(self) -> None:
        try:
            self.end_headers()
        except OSError:
            raise _ClientGoneError from None

    def _write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except OSError:
            raise _ClientGoneError from None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: writing the log would be in the timing."""


@contextmanager
def _readable() -> Iterator[None]:
    """Turns what a malformed request raises into words for its sender."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise RefusedError(f"not a request that can be read: {error!r}") from None


def _messages(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(m["role"]), str(m["content"])) for m in body["messages"])
