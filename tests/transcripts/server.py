"""Plays a transcript over real HTTP on 127.0.0.1: `python -m tests.transcripts.server FILE`.

Plain sockets and a thread a connection, so that what leaves together and when is what the file
says. Each connection serves one request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from tests.transcripts.transcript import Answer, Exchange, Transcript, TranscriptError, read

LEAST_GAP_S = 0.002
"""Between two pieces, or the client reads them as one."""
LARGEST_REQUEST = 16 * 2**20
GARBAGE = b"\x00\xff\x13 this is neither HTTP nor an event\r\n\r\ndata: {half\n\n"


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Pieces are those of a streamed answer; the others are left alone."""

    break_after: int | None = None
    """Pieces sent before the connection is closed."""
    hang_after: int | None = None
    """Pieces sent before nothing more comes."""
    garbage_after: int | None = None
    """Pieces sent before something that belongs nowhere."""
    status: int | None = None
    """Of the answer in place of a streamed one."""
    retry_after_s: int | None = None
    """Said with `status`."""
    bearer: str | None = None
    """The key without which every request is refused with 401."""


NO_FAULTS = Faults()


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: Mapping[str, JsonValue]
    known: bool = True
    """Whether the transcript has an answer."""


class _LeftError(Exception):
    """The client has gone, or the server is closed."""


class TranscriptServer:
    """One transcript being played, until `close`."""

    def __init__(
        self,
        transcript: Transcript,
        *,
        port: int = 0,
        scale: float = 1.0,
        faults: Faults = NO_FAULTS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.transcript = transcript
        self.faults = faults
        """May be changed at any time; holds for the pieces sent from then on."""
        self.scale = scale
        """Of the recorded times; may be changed likewise."""
        self.seen: list[Seen] = []
        self._tls = tls
        self._added: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def unknown(self) -> list[Seen]:
        """Requests that the transcript has no answer to."""
        return [seen for seen in self.seen if not seen.known]

    def close(self) -> None:
        """As if the server were killed: nothing listens, and answers end where they are."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    # ---- one connection ------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._connections.add(connection)
            if (request := _read_request(connection)) is not None:
                self._answer(connection, *request)
        except (OSError, _LeftError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            # Says goodbye even where a hanging thread still holds the socket.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _answer(
        self, connection: socket.socket, method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> None:
        since = time.perf_counter()
        body = _object(raw)
        exchange = self.transcript.find(method, path, body)
        self.seen.append(Seen(method, path, headers, body, exchange is not None))
        faults = self.faults
        if faults.bearer is not None and headers.get("authorization") != f"Bearer {faults.bearer}":
            self._say(connection, _refusal(401, "Invalid or missing API key"))
        elif exchange is None:
            self._say(connection, _refusal(404, f"the transcript has no {method} {path} like this"))
        elif not exchange.answer.streamed:
            self._say(connection, exchange.answer)
            self._add(exchange)
        elif faults.status is not None:
            self._say(connection, _refusal(faults.status, "told to fail", faults.retry_after_s))
        else:
            self._stream(connection, exchange, since)

    def _say(self, connection: socket.socket, answer: Answer) -> None:
        text = answer.body()
        if answer.text is not None:
            text = self._counted(text)
        data = text.encode()
        connection.sendall(answer.head(len(data)) + data)

    def _stream(self, connection: socket.socket, exchange: Exchange, since: float) -> None:
        answer = exchange.answer
        parts = answer.sends()
        head = answer.head()
        if parts and answer.at < parts[0][0]:
            parts.insert(0, (answer.at, head))
            first = 1
        else:
            at, data = parts[0]
            parts[0] = (at, head + data)
            first = 0
        ends = [index for index, (_, data) in enumerate(parts) if b"[DONE]" in data]
        end = min([*ends, len(parts) - 1])
        sent_at = 0.0
        for index, (at, data) in enumerate(parts):
            self._fail(connection, index - first)
            due = max(since + at * self.scale, sent_at + LEAST_GAP_S)
            self._wait(connection, due - time.perf_counter())
            if index == end:
                # Whoever has the whole answer finds it counted, and may leave.
                self._add(exchange)
            connection.sendall(data)
            sent_at = time.perf_counter()

    def _fail(self, connection: socket.socket, sent: int) -> None:
        faults = self.faults
        if faults.break_after is not None and sent >= faults.break_after:
            raise _LeftError
        if faults.hang_after is not None and sent >= faults.hang_after:
            while True:
                self._wait(connection, 3600)
        if faults.garbage_after is not None and sent >= faults.garbage_after:
            connection.sendall(GARBAGE)
            raise _LeftError

    def _wait(self, connection: socket.socket, seconds: float) -> None:
        """Until then, unless the client leaves or the server is closed.

        A select wakes within 0.1 ms or so, and finds a closed connection readable.
        """
        if seconds > 0 and select.select([connection], [], [], seconds)[0]:
            raise _LeftError
        if self._closed.is_set():
            raise _LeftError

    def _add(self, exchange: Exchange) -> None:
        with self._lock:
            for series, value in exchange.adds.items():
                self._added[series] = self._added.get(series, 0.0) + value

    def _counted(self, page: str) -> str:
        """A page of counters with what the requests so far have added."""
        with self._lock:
            added = dict(self._added)
        lines = []
        for line in page.split("\n"):
            series, _, value = line.rpartition(" ")
            known = series in added and not line.startswith("#")
            lines.append(f"{series} {float(value) + added[series]:.15g}" if known else line)
        return "\n".join(lines)


def _read_request(
    connection: socket.socket,
) -> tuple[str, str, dict[str, str], bytes] | None:
    """Method, path without its query, headers and body; None where the client said nothing."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < LARGEST_REQUEST:
        more = connection.recv(1 << 16)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    while len(body) < min(length, LARGEST_REQUEST):
        more = connection.recv(1 << 16)
        if not more:
            return None
        body += more
    return method, target.partition("?")[0], headers, body


def _object(raw: bytes) -> dict[str, JsonValue]:
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _refusal(status: int, message: str, retry_after_s: int | None = None) -> Answer:
    headers = [("Content-Type", "application/json")]
    if retry_after_s is not None:
        headers.append(("Retry-After", str(retry_after_s)))
    error: dict[str, JsonValue] = {"message": message, "type": "error", "code": status}
    return Answer(status=status, headers=tuple(headers), json={"error": error})


@dataclass(frozen=True)
class SelfSigned:
    """A certificate for 127.0.0.1 that nobody else has signed."""

    context: ssl.SSLContext = field(repr=False)
    authority: Path
    """PEM of the authority that a client must trust."""


def self_signed(folder: Path) -> SelfSigned:
    """Made anew, with the authority's certificate in `folder`."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return SelfSigned(context, path)


@contextlib.contextmanager
def playing(
    transcript: Transcript | Path | str,
    *,
    port: int = 0,
    scale: float = 1.0,
    faults: Faults = NO_FAULTS,
    tls: ssl.SSLContext | None = None,
) -> Iterator[TranscriptServer]:
    """A transcript, its file, or the name of one that is here, being played inside the block."""
    told = transcript if isinstance(transcript, Transcript) else read(transcript)
    server = TranscriptServer(told, port=port, scale=scale, faults=faults, tls=tls)
    try:
        yield server
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.transcripts.server")
    parser.add_argument("file", help="a transcript's file, or the name of one that is here")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="of the recorded times")
    parser.add_argument("--tls", action="store_true", help="https, with a certificate of its own")
    parser.add_argument("--bearer", help="the key without which requests are refused")
    for name in ("break-after", "hang-after", "garbage-after"):
        parser.add_argument(f"--{name}", type=int, help="pieces of a streamed answer")
    parser.add_argument("--status", type=int, help="of the answer in place of a streamed one")
    parser.add_argument("--retry-after", type=int, help="seconds, said with --status")
    given = parser.parse_args()
    file = Path(given.file)
    faults = Faults(
        break_after=given.break_after,
        hang_after=given.hang_after,
        garbage_after=given.garbage_after,
        status=given.status,
        retry_after_s=given.retry_after,
        bearer=given.bearer,
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        signed = self_signed(Path(folder)) if given.tls else None
        tls = signed.context if signed else None
        try:
            told = read(file if file.suffix == ".json" else given.file)
        except TranscriptError as error:
            parser.error(str(error))
        with playing(told, port=given.port, scale=given.scale, faults=faults, tls=tls) as server:
            print(server.url, f"authority: {signed.authority}" if signed else "", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
