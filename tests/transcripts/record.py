"""Stands before a real server and writes down what it says, as a transcript.

    python -m tests.transcripts.record http://127.0.0.1:8080 --port 9000 --out FILE \\
        --server llama-server --version b11434 --says 'plain decoding'

Ask the port until you have heard enough, then press Ctrl-C. Streamed answers stand in the file as
they were read, with their times; other answers as a whole. What a request adds to the counters
is worked out from the page as it stood before and after it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import JsonValue

from tests.transcripts.transcript import Answer, Asked, Exchange, Transcript, decode, write

TELLING = (
    "stream",
    "max_tokens",
    "n_predict",
    "n_probs",
    "logprobs",
    "stream_options.include_usage",
    "stream_options.continuous_usage_stats",
    "return_token_ids",
    "timings_per_token",
)
"""Fields of requests on which the shape of an answer depends."""
LEFT_OUT = {"date", "connection", "keep-alive", "transfer-encoding", "content-length"}
"""Headers of whole answers that the transcript does not keep."""
SETTLED_S = 0.3
"""How long counters must have stood still to be taken."""


@dataclass(frozen=True)
class Counting:
    """The page of counters that is read around each POST."""

    path: str
    keep: str
    """A pattern of the series that stand in the transcript; pages are cut down to them."""


class Recorder:
    """A proxy on 127.0.0.1, until `close`. Serves one request at a time."""

    def __init__(
        self,
        upstream: str,
        *,
        port: int = 0,
        counting: Counting | None = None,
        hidden: str | None = None,
    ) -> None:
        """What matches the pattern `hidden` is written down as so many times 'x'."""
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._counting = counting
        self._hidden = None if hidden is None else re.compile(hidden.encode())
        self.exchanges: list[Exchange] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def transcript(self, server: str, version: str, source: str, says: str) -> Transcript:
        """What was heard until `close`; of equal requests the first."""
        kept: list[Exchange] = []
        for exchange in self.exchanges:
            key = (exchange.method, exchange.path, exchange.asked)
            if key not in [(e.method, e.path, e.asked) for e in kept]:
                kept.append(exchange)
        # Those that ask for more come first: a transcript answers with the first that fits.
        kept.sort(key=lambda e: -len(e.asked.equals))
        today = datetime.datetime.now(datetime.UTC).date()
        return Transcript(
            server=server,
            version=version,
            date=today.isoformat(),
            recorded=True,
            source=source,
            says=says,
            exchanges=tuple(kept),
        )

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError, http.client.HTTPException):
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        head, body = _read_request(client)
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        kept = [line for line in lines if not line.lower().startswith(("connection:", "host:"))]
        host = f"{self._upstream[0]}:{self._upstream[1]}"
        request = "\r\n".join([first, f"Host: {host}", *kept, "Connection: close", "", ""])
        before = self._counters() if method == "POST" else {}
        reads = self._exchange(client, request.encode("latin-1") + body)
        if self._hidden is not None:
            hidden = self._hidden
            reads = [(at, hidden.sub(lambda m: b"x" * len(m[0]), data)) for at, data in reads]
        after = self._settled() if method == "POST" else {}
        adds = {name: after[name] - before.get(name, 0.0) for name in after}
        path = target.partition("?")[0]
        self.exchanges.append(
            Exchange(
                method="POST" if method == "POST" else "GET",
                path=path,
                asked=_asked(body),
                answer=self._answer(path, reads),
                adds={name: round(value, 9) for name, value in adds.items() if value},
            )
        )

    def _exchange(self, client: socket.socket, request: bytes) -> list[tuple[float, bytes]]:
        reads: list[tuple[float, bytes]] = []
        with socket.create_connection(self._upstream) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            since = time.perf_counter()
            server.sendall(request)
            while data := server.recv(1 << 18):
                reads.append((round(time.perf_counter() - since, 6), data))
                with contextlib.suppress(OSError):  # What is left unread is still recorded.
                    client.sendall(data)
        return reads

    def _answer(self, path: str, reads: list[tuple[float, bytes]]) -> Answer:
        head, at, pieces = _without_head(reads)
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = tuple(
            (name, value.strip()) for name, _, value in (x.partition(":") for x in lines)
        )
        told = {name.lower(): value for name, value in headers}
        if told.get("content-type", "").partition(";")[0] in (
            "text/event-stream",
            "application/x-ndjson",
        ):
            texts = tuple((moment, decode(data)) for moment, data in pieces)
            return Answer(status=status, headers=headers, framing="wire", at=at, pieces=texts)
        body = b"".join(data for _, data in pieces)
        if told.get("transfer-encoding", "").lower() == "chunked":
            body = _dechunked(body)
        kept = tuple(pair for pair in headers if pair[0].lower() not in LEFT_OUT)
        text = body.decode()
        if self._counting is not None and path == self._counting.path:
            text = _cut_down(text, self._counting.keep)
        with contextlib.suppress(ValueError):
            return Answer(status=status, headers=kept, json=json.loads(text))
        return Answer(status=status, headers=kept, text=text)

    def _counters(self) -> dict[str, float]:
        if self._counting is None:
            return {}
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.request("GET", self._counting.path)
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        pairs = [line.rpartition(" ") for line in lines if re.search(self._counting.keep, line)]
        return {series: float(value) for series, _, value in pairs}

    def _settled(self) -> dict[str, float]:
        now = self._counters()
        while now:
            time.sleep(SETTLED_S)
            before, now = now, self._counters()
            if before == now:
                break
        return now


def _read_request(client: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := client.recv(1 << 16)):
            raise ConnectionError("left without a request")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    while len(body) < (int(found[1]) if found else 0):
        if not (more := client.recv(1 << 16)):
            raise ConnectionError("left in the middle of its request")
        body += more
    return head.decode("latin-1"), body


def _without_head(
    reads: list[tuple[float, bytes]],
) -> tuple[bytes, float, list[tuple[float, bytes]]]:
    """The head, when it was complete, and the pieces of the body."""
    data = b""
    for index, (at, more) in enumerate(reads):
        data += more
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            return head, at, [(at, rest)] * bool(rest) + reads[index + 1 :]
    raise http.client.HTTPException("no whole head")


def _dechunked(body: bytes) -> bytes:
    made = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        made, body = made + body[:length], body[length + 2 :]
    return made


def _cut_down(page: str, keep: str) -> str:
    return "".join(f"{line}\n" for line in page.splitlines() if re.search(keep, line))


def _asked(body: bytes) -> Asked:
    if not body:
        return Asked()
    said = json.loads(body)
    equals: dict[str, JsonValue] = {}
    for name in TELLING:
        value: JsonValue = said
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            equals[name] = value
    return Asked(equals=equals)


@contextlib.contextmanager
def recording(
    upstream: str, *, counting: Counting | None = None, hidden: str | None = None
) -> Iterator[Recorder]:
    recorder = Recorder(upstream, counting=counting, hidden=hidden)
    try:
        yield recorder
    finally:
        recorder.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.transcripts.record")
    parser.add_argument("upstream", help="the real server, as http://HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--server", required=True, help="its name")
    parser.add_argument("--version", required=True)
    parser.add_argument("--says", required=True, help="what is particular about it")
    parser.add_argument("--counters", help="path of its page of counters")
    parser.add_argument("--keep", default="", help="pattern of the series to keep")
    given = parser.parse_args()
    counting = Counting(given.counters, given.keep) if given.counters else None
    recorder = Recorder(given.upstream, port=given.port, counting=counting)
    print(recorder.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    recorder.close()
    source = f"recorded from {given.server} {given.version} by tests/transcripts/record.py"
    write(recorder.transcript(given.server, given.version, source, given.says), given.out)


if __name__ == "__main__":
    main()
