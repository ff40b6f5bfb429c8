from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import RequestError, UsageError
from runners.base.events import Decoder
from runners.base.stream import JSON, Event, fetch, open_stream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
SAMPLE = (
    b"\xef\xbb\xbf: hello\r\n\r\n"
    b"data: one\r\n\r\n"
    b"event: message\nid: 7\nretry: 10\ndata: two\ndata:  lines\n\n"
    b": keep-alive\n\n"
    b'data:{"t":"\xc3\xa9\xf0\x9f\x98\x80"}\n\n\n'
    b"data\n\n"
    b"data: cr\rdata: only\r\r"
    b"data: [DONE]\n\n"
)
PAYLOADS = ["one", "two\n lines", '{"t":"é😀"}', "", "cr\nonly", "[DONE]"]


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


class Scripted:
    """A raw socket server that reads one request and writes the given pieces."""

    def __init__(self, pieces: Sequence[bytes], pause_s: float, *, end: str) -> None:
        self.pieces = pieces
        self.pause_s = pause_s
        self.end = end
        self.requests: list[bytes] = []
        self.written_at: list[float] = []
        self.url = ""
        self.handlers: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.append(task)
        try:
            await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # Some clients in here go away early.
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        length = int({k.lower(): v for k, v in fields.items()}.get("content-length", "0"))
        self.requests.append(head + await reader.readexactly(length))
        for piece in self.pieces:
            self.written_at.append(time.perf_counter())
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self.pause_s)
        if self.end == "hang":
            await reader.read()
        if self.end == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def scripted(
    *pieces: bytes, pause_s: float = 0.0, end: str = "close"
) -> AsyncIterator[Scripted]:
    script = Scripted(pieces, pause_s, end=end)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1?x=1"
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()
        # Every handler ends when its client has gone: none may be left waiting for one.
        async with asyncio.timeout(5):
            await asyncio.gather(*script.handlers)


async def read_all(url: str, timeout_s: float = 5.0) -> list[Event]:
    async with open_stream(url, {}, timeout_s=timeout_s) as stream:
        return [event async for event in stream]


async def read_one(url: str) -> Event:
    async with open_stream(url, {}, timeout_s=60) as stream:
        return await anext(stream)


# ---- server-sent events ------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(len(SAMPLE) + 1))
def test_an_event_may_be_split_at_any_byte(cut: int) -> None:
    decoder = Decoder()
    assert decoder.feed(SAMPLE[:cut]) + decoder.feed(SAMPLE[cut:]) == PAYLOADS
    assert decoder.close() == []


def test_one_byte_at_a_time() -> None:
    decoder = Decoder()
    found = [text for i in range(len(SAMPLE)) for text in decoder.feed(SAMPLE[i : i + 1])]
    assert found == PAYLOADS


@settings(max_examples=50)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=9))
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_what_was_written_is_read(events: list[list[str]], end: str, cuts: list[int]) -> None:
    body = "".join(
        "".join(f"data: {line}{end}" for line in lines) + f": comment{end}{end}" for lines in events
    ).encode()
    marks = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    decoder = Decoder()
    found = [text for a, b in itertools.pairwise(marks) for text in decoder.feed(body[a:b])]
    assert found == ["\n".join(lines) for lines in events if lines]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_read_alike_however_they_are_cut(pieces: list[bytes]) -> None:
    apart, whole = Decoder(), Decoder()
    found = [text for piece in pieces for text in apart.feed(piece)]
    assert found == whole.feed(b"".join(pieces))


def test_an_event_that_never_ends_is_refused() -> None:
    for end in (b"", b"\n"):
        decoder = Decoder()
        piece = b"data: " + b"x" * 2**20 + end
        for _ in range(15):
            assert decoder.feed(piece) == []
        with pytest.raises(ValueError, match="longer than 16 MiB"):
            decoder.feed(piece)


def test_a_long_stream_of_short_events_is_not_refused() -> None:
    decoder = Decoder()
    piece = b"data: " + b"x" * 2**20 + b"\n\ndata: "
    for _ in range(20):
        assert len(decoder.feed(piece)) == 1


# ---- over HTTP ---------------------------------------------------------------------------------

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(SAMPLE, 11)
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(SAMPLE) + SAMPLE
TO_THE_END = HEAD.replace(b"1.1", b"1.0") + b"\r\n" + SAMPLE


@pytest.mark.parametrize("answer", [CHUNKED, LENGTH, TO_THE_END])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_every_framing_in_pieces_of_every_size(answer: bytes, size: int) -> None:
    pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
    async with scripted(*pieces) as server:
        assert [event.data for event in await read_all(server.url)] == PAYLOADS


async def test_one_event_a_read_is_stamped_after_its_own_write() -> None:
    events = [b"data: %d\n\n" % i for i in range(4)]
    async with scripted(HEAD + b"\r\n", *events, pause_s=0.02) as server:
        found = await read_all(server.url)
    written = server.written_at[1:]
    assert [event.data for event in found] == ["0", "1", "2", "3"]
    for event, before, after in zip(found, written, [*written[1:], float("inf")], strict=True):
        assert before < event.at < after


async def test_a_stamp_does_not_wait_for_the_reader_to_be_ready() -> None:
    events = [b"data: %d\n\n" % i for i in range(4)]
    async with (
        scripted(HEAD + b"\r\n", *events, pause_s=0.01) as server,
        open_stream(server.url, {}, timeout_s=5) as stream,
    ):
        await asyncio.sleep(0.2)
        found = [event.at async for event in stream]
    for at, before, after in zip(found, server.written_at[1:], server.written_at[2:], strict=False):
        assert before < at < after


async def test_an_event_split_over_reads_has_the_time_of_the_last() -> None:
    async with scripted(
        HEAD + b"\r\n", b"data: a\n\ndata: b", b"\n", b"\n", pause_s=0.02
    ) as server:
        first, second = await read_all(server.url)
    assert server.written_at[1] < first.at < server.written_at[2]
    assert server.written_at[3] < second.at


async def test_events_of_one_read_have_one_time() -> None:
    async with scripted(HEAD + b"\r\ndata: a\n\ndata: b\n\n") as server:
        first, second = await read_all(server.url)
    assert first.at == second.at


async def test_sent_at_lies_between_connecting_and_the_servers_reading() -> None:
    async with scripted(HEAD + b"\r\ndata: a\n\n") as server:
        before = time.perf_counter()
        async with open_stream(server.url, {}, timeout_s=5) as stream:
            assert before < stream.sent_at < server.written_at[0]


async def test_the_request_as_the_server_sees_it() -> None:
    async with scripted(HEAD + b"\r\n") as server:
        payload: dict[str, JSON] = {
            "messages": [{"role": "user", "content": "é"}],
            "n": 1.5,
            "no": None,
        }
        async with open_stream(
            server.url, payload, timeout_s=5, headers={"Authorization": "Bearer x"}
        ) as stream:
            assert [event async for event in stream] == []
        await fetch(server.url, timeout_s=5)
    post, get = server.requests
    head, _, body = post.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1?x=1 HTTP/1.1\r\n")
    assert b"Authorization: Bearer x" in head
    assert json.loads(body) == payload
    assert get.startswith(b"GET /v1?x=1 HTTP/1.1\r\n")


async def test_a_last_event_without_its_blank_line_counts() -> None:
    async with scripted(HEAD + b"\r\ndata: a\n\ndata: [DONE]\n") as server:
        assert [event.data for event in await read_all(server.url)] == ["a", "[DONE]"]


async def test_iterating_on_after_the_end_stays_at_the_end() -> None:
    async with (
        scripted(HEAD + b"\r\ndata: a\n\n") as server,
        open_stream(server.url, {}, timeout_s=5) as stream,
    ):
        assert len([event async for event in stream]) == 1
        assert [event async for event in stream] == []


async def test_an_informational_response_is_skipped() -> None:
    async with scripted(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"\r\ndata: a\n\n") as server:
        assert len(await read_all(server.url)) == 1


async def test_more_than_the_backlog_arrives_whole() -> None:
    event = b"data: " + b"x" * 100_000 + b"\n\n"
    async with (
        scripted(HEAD + b"\r\n", *[event] * 100) as server,
        open_stream(server.url, {}, timeout_s=10) as stream,
    ):
        await asyncio.sleep(0.3)
        assert len([event async for event in stream]) == 100


# ---- errors ------------------------------------------------------------------------------------


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_refused() -> None:
    url = f"http://127.0.0.1:{unused_port()}/"
    with pytest.raises(RequestError, match="Connection refused") as caught:
        await read_all(url)
    assert caught.value.server_lost
    with pytest.raises(RequestError, match="Connection refused"):
        await fetch(url, timeout_s=5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        HEAD,
        CHUNKED[:-1],
        CHUNKED[: len(CHUNKED) // 2],
        LENGTH[:-1],
        TO_THE_END[:-12],
    ],
)
async def test_the_end_before_the_end(answer: bytes) -> None:
    async with scripted(answer) as server:
        with pytest.raises(
            RequestError, match=r"closed the connection|middle of an event"
        ) as caught:
            await read_all(server.url)
    assert caught.value.server_lost


async def test_events_before_the_break_are_still_given() -> None:
    found = []
    async with scripted(CHUNKED[:-40]) as server:
        with pytest.raises(RequestError):  # noqa: PT012
            async with open_stream(server.url, {}, timeout_s=5) as stream:
                async for event in stream:
                    found.append(event.data)  # noqa: PERF401
    assert found == PAYLOADS[: len(found)] != []


async def test_reset() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with scripted(
        head, chunked(b"data: a\n\n", 99)[:-5], pause_s=0.05, end="reset"
    ) as server:
        with pytest.raises(RequestError, match="broke the connection") as caught:
            await read_all(server.url)
    assert caught.value.server_lost


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"the prompt is too long","code":400}}', "the prompt is too long"),
        (b'{"error":"no such model"}', "no such model"),
        (b'{"error":{"code":3}}', '{"error":{"code":3}}'),
        (b'{"error":{"message":7}}', '{"error":{"message":7}}'),
        (b"plain words \xff", "plain words \ufffd"),
        (b"[" * 100_000, "[" * 500),
        (b"", "(no message)"),
        (b'["error"]', '["error"]'),
    ],
)
async def test_http_error_statuses(body: bytes, message: str) -> None:
    answer = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with scripted(answer) as server:
        with pytest.raises(RequestError) as caught:
            await read_all(server.url)
        assert str(caught.value) == f"HTTP 400: {message}"
        assert not caught.value.server_lost
        reply = await fetch(server.url, {"a": 1}, timeout_s=5)
    assert (reply.status, reply.body) == (400, body)


async def test_a_servers_message_is_cut() -> None:
    body = json.dumps({"error": {"message": "x" * 9000}}).encode()
    async with scripted(
        b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    ) as server:
        with pytest.raises(RequestError) as caught:
            await read_all(server.url)
    assert str(caught.value) == "HTTP 500: " + "x" * 500


@pytest.mark.parametrize("kind", [b"Content-Type: text/html\r\n", b""])
async def test_not_an_event_stream(kind: bytes) -> None:
    async with scripted(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n<p>hello") as server:
        with pytest.raises(RequestError, match="not with an event stream: <p>hello"):
            await read_all(server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x00" * 100,
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"no colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000,
    ],
)
async def test_garbage(answer: bytes) -> None:
    async with scripted(answer, end="hang") as server:
        with pytest.raises(RequestError, match="does not speak HTTP") as caught:
            await read_all(server.url)
    assert not caught.value.server_lost


@pytest.mark.parametrize("pieces", [(), (HEAD + b"\r\n",), (HEAD + b"\r\ndata: a\n\n",)])
async def test_total_timeout(pieces: tuple[bytes, ...]) -> None:
    async with scripted(*pieces, end="hang") as server:
        with pytest.raises(RequestError, match=r"no end after 0\.1 s"):
            await read_all(server.url, timeout_s=0.1)


async def test_a_stream_that_trickles_on_has_a_timeout_too() -> None:
    async with scripted(HEAD + b"\r\n", *[b"data: a\n\n"] * 200, pause_s=0.01) as server:
        with pytest.raises(RequestError, match=r"no end after 0\.1 s"):
            await read_all(server.url, timeout_s=0.1)


async def test_fetch_has_a_timeout() -> None:
    async with scripted(end="hang") as server:
        with pytest.raises(RequestError, match=r"no end after 0\.1 s"):
            await fetch(server.url, timeout_s=0.1)


async def test_leaving_early_closes_the_connection() -> None:
    async with scripted(HEAD + b"\r\ndata: a\n\n", end="hang") as server:
        await read_one(server.url)
        # `scripted` checks that the handler, which waits for the client to go, ends.


async def test_cancelling_a_reader() -> None:
    async with scripted(HEAD + b"\r\n", end="hang") as server:
        task = asyncio.create_task(read_all(server.url, timeout_s=60))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "127.0.0.1:80", "http://", "http://h:99999/", "http://[::1/"]
)
async def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="address"):
        await fetch(url, timeout_s=1)


async def test_a_header_cannot_smuggle_another() -> None:
    async with scripted(HEAD + b"\r\n") as server:
        with pytest.raises(UsageError, match="header"):
            async with open_stream(server.url, {}, timeout_s=1, headers={"A": "b\r\nC: d"}):
                pass


@pytest.mark.parametrize("path", ["fetch", "stream"])
async def test_a_compressed_answer_is_refused(path: str) -> None:
    async with scripted(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08") as server:
        with pytest.raises(RequestError, match=r"compresses its answer \(gzip\)"):
            await (fetch(server.url, timeout_s=5) if path == "fetch" else read_all(server.url))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 No\r\n\r\nno such key: sk-hunter2",
        b"HTTP/1.1 307 There\r\nLocation: /?key=sk-hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nauthorization: Bearer sk-hunter2",
        b"HTTP/1.1 200 OK\r\nContent-Type: sk-hunter2\r\n\r\n",
    ],
    ids=["refused", "sent on", "echoed", "type"],
)
async def test_a_server_that_repeats_the_key(answer: bytes) -> None:
    headers = {"Authorization": "Bearer sk-hunter2"}
    async with scripted(answer) as server:
        with pytest.raises(RequestError) as caught:
            async with open_stream(server.url, {}, timeout_s=5, headers=headers):
                pass
    assert "hunter2" not in str(caught.value)
    assert "…" in str(caught.value)


async def test_a_stream_of_comments_alone_has_a_timeout() -> None:
    pieces = [HEAD + b"\r\n", *[b": still here\n\n"] * 200]
    async with scripted(*pieces, pause_s=0.02, end="hang") as server:
        with pytest.raises(RequestError, match="no end after"):
            async with open_stream(server.url, {}, timeout_s=0.5) as stream:
                [event async for event in stream]
