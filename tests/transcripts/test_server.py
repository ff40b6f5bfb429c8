from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcripts.record import Counting, recording
from tests.transcripts.server import GARBAGE, Faults, TranscriptServer, playing, self_signed
from tests.transcripts.transcript import (
    Answer,
    Asked,
    Exchange,
    Transcript,
    TranscriptError,
    decode,
    encode,
    names,
    read,
    write,
)

CHAT = "/v1/chat/completions"
STREAM = (("Content-Type", "text/event-stream"),)


def transcript(*exchanges: Exchange) -> Transcript:
    return Transcript(
        server="none",
        version="0",
        date="2026-01-01",
        recorded=False,
        source="this test",
        says="nothing",
        exchanges=exchanges,
    )


def streamed(*pieces: tuple[float, str], framing: str = "close") -> Exchange:
    answer = Answer(headers=STREAM, framing=framing, pieces=pieces)  # type: ignore[arg-type]
    return Exchange(method="POST", path=CHAT, answer=answer)


def page(text: str) -> Exchange:
    return Exchange(path="/metrics", answer=Answer(text=text))


def ask(
    server: TranscriptServer | str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    url = server if isinstance(server, str) else server.url
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    data = None if body is None else json.dumps(body)
    try:
        connection.request("GET" if body is None else "POST", path, data, dict(headers or {}))
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def reads(server: TranscriptServer, body: bytes = b"{}") -> Iterator[bytes]:
    """What the socket gives at once."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
            % (CHAT.encode(), len(body), body)
        )
        while data := client.recv(1 << 16):
            yield data


# ---- files -------------------------------------------------------------------------------------


def test_there_are_files() -> None:
    assert {"llama-server", "vllm", "mlx-lm", "sglang", "tgi", "tensorrt-llm"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_every_file_says_where_it_is_from(name: str) -> None:
    told = read(name)
    assert told.source.startswith("recorded from " if told.recorded else "written from ")
    assert told.server
    assert told.version
    assert told.says
    assert any(exchange.answer.streamed for exchange in told.exchanges)


@pytest.mark.parametrize("name", names())
def test_files_hold_nothing_of_a_machine(name: str) -> None:
    text = json.dumps(read(name).model_dump(by_alias=True))
    assert "/tmp/" not in text
    assert "/home/" not in text
    assert "/root/" not in text


@pytest.mark.parametrize("name", names())
def test_writing_what_was_read_changes_nothing(name: str, tmp_path: Path) -> None:
    told = read(name)
    write(told, tmp_path / "copy.json")
    assert read(tmp_path / "copy.json") == told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ('{"server": "x"}', "version: Field required"),
        ("[]", "valid dictionary"),
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TranscriptError, match=reason):
        read(tmp_path / "x.json")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(TranscriptError, match="No such file"):
        read("nobody")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "x", "json": 1},
        {"text": "x", "framing": "chunked"},
        {"pieces": [[0.1, "x"]]},
        {"pieces": [[0.2, "x"], [0.1, "y"]], "framing": "wire"},
    ],
)
def test_answers_that_contradict_themselves_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"answer has|framing|begin with their times"):
        Answer.model_validate(fields)


@given(st.binary(max_size=64))
def test_any_bytes_can_be_written_as_text(data: bytes) -> None:
    assert encode(json.loads(json.dumps(decode(data)))) == data


# ---- what is played ----------------------------------------------------------------------------


def test_pieces_arrive_apart_and_in_time() -> None:
    parts = ((0.05, "data: a\n"), (0.1, "\ndata: \udce6"), (0.15, "\udc97\udca5\n\n"))
    with playing(transcript(streamed(*parts))) as server:
        since = time.perf_counter()
        got = [(time.perf_counter() - since, data) for data in reads(server)]
    head, *bodies = [data for _, data in got]
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    assert bodies == [b"data: a\n", b"\ndata: \xe6", b"\x97\xa5\n\n"]
    # Not before their time; later only as the machine is busy.
    assert got[-1][0] >= 0.15


def test_a_head_that_came_with_the_first_piece() -> None:
    answer = Answer(headers=STREAM, framing="close", at=0.01, pieces=((0.01, "data: a\n\n"),))
    exchange = Exchange(method="POST", path=CHAT, answer=answer)
    with playing(transcript(exchange)) as server:
        (data,) = reads(server)
    assert data.endswith(b"\r\n\r\ndata: a\n\n")


def test_times_can_be_scaled() -> None:
    with playing(transcript(streamed((30.0, "data: a\n\n"))), scale=0.001) as server:
        assert list(reads(server))[-1].endswith(b"data: a\n\n")


def test_chunks_of_pieces_and_of_the_wire() -> None:
    chunked = streamed((0.0, "ab"), (0.01, "c"), framing="chunked")
    with playing(transcript(chunked)) as server:
        assert ask(server, CHAT, {}) == (200, b"abc")
        assert b"2\r\nab\r\n" in b"".join(reads(server))
    wire = Answer(
        headers=(*STREAM, ("Transfer-Encoding", "chunked")),
        framing="wire",
        pieces=((0.0, "3\r\na"), (0.01, "bc\r\n0\r\n\r\n")),
    )
    with playing(transcript(Exchange(method="POST", path=CHAT, answer=wire))) as server:
        assert ask(server, CHAT, {}) == (200, b"abc")


def test_events_are_put_together() -> None:
    answer = Answer(
        framing="close",
        each={"id": 1},
        newline="\r\n",
        events=((0.0, {"n": 1}, {"n": 2, "id": 3}), (0.01, ": alive\n\n", "data: [DONE]\n\n")),
    )
    with playing(transcript(Exchange(method="POST", path=CHAT, answer=answer))) as server:
        assert ask(server, CHAT, {})[1] == (
            b'data: {"id": 1, "n": 1}\r\n\r\ndata: {"id": 3, "n": 2}\r\n\r\n'
            b": alive\n\ndata: [DONE]\n\n"
        )


def test_requests_are_told_apart() -> None:
    def one(asked: Asked, text: str) -> Exchange:
        return Exchange(method="POST", path=CHAT, asked=asked, answer=Answer(text=text))

    told = transcript(
        one(Asked(beyond=("stream", "max_tokens", "stream_options")), "unknown field"),
        one(Asked(equals={"max_tokens": 4, "stream_options.include_usage": True}), "four"),
        one(Asked(has=("stream_options.include_usage",)), "usage"),
        one(Asked(), "rest"),
    )
    with playing(told) as server:
        usage = {"include_usage": True}
        asked: list[dict[str, object]] = [
            {"seed": 1},
            {"max_tokens": 4, "stream_options": usage},
            {"max_tokens": 5, "stream_options": usage},
            {"max_tokens": 4, "stream_options": None},
        ]
        said = [ask(server, CHAT, body)[1] for body in asked]
        assert said == [b"unknown field", b"four", b"usage", b"rest"]
        assert not server.unknown
        assert ask(server, "/other")[0] == 404
        assert [(seen.method, seen.path) for seen in server.unknown] == [("GET", "/other")]
        assert server.seen[1].body == asked[1]


def test_counters_go_on() -> None:
    series = 'x:tokens_total{m="a b"}'
    counted = streamed((0.0, "data: a\n\n")).model_copy(update={"adds": {series: 3.0}})
    text = f"# TYPE x:tokens counter\n{series} 4.0\nother 1\n"
    with playing(transcript(counted, page(text))) as server:
        assert ask(server, "/metrics")[1].decode() == text
        ask(server, CHAT, {})
        ask(server, CHAT, {})
        assert ask(server, "/metrics")[1].decode() == text.replace("4.0", "10")


# ---- faults ------------------------------------------------------------------------------------

PARTS = tuple((0.0, f"data: {n}\n\n") for n in range(4))


def test_it_breaks_off() -> None:
    told = transcript(streamed(*PARTS, framing="chunked"))
    with playing(told, faults=Faults(break_after=2)) as server:
        with pytest.raises(http.client.IncompleteRead):
            ask(server, CHAT, {})
        said = b"".join(reads(server))
        assert said.count(b"data:") == 2
        assert not said.endswith(b"0\r\n\r\n")


def test_it_hangs_until_the_client_leaves() -> None:
    with playing(transcript(streamed(*PARTS)), faults=Faults(hang_after=1)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as client:
            client.sendall(b"POST %s HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % CHAT.encode())
            said = b""
            with contextlib.suppress(TimeoutError):
                while data := client.recv(1 << 16):
                    said += data
                pytest.fail("it closed the connection")
        assert said.count(b"data:") == 1
        server.faults = Faults()
        assert b"".join(reads(server)).count(b"data:") == 4


def test_garbage() -> None:
    with playing(transcript(streamed(*PARTS)), faults=Faults(garbage_after=1)) as server:
        assert b"".join(reads(server)).endswith(b"data: 0\n\n" + GARBAGE)


def test_too_busy() -> None:
    faults = Faults(status=429, retry_after_s=7)
    with playing(transcript(streamed(*PARTS), page("x 1\n")), faults=faults) as server:
        said = b"".join(reads(server))
        assert said.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 7\r\n" in said
        # Only what is generated.
        assert ask(server, "/metrics")[0] == 200


def test_a_key_is_wanted() -> None:
    with playing(transcript(page("x 1\n")), faults=Faults(bearer="secret")) as server:
        assert ask(server, "/metrics")[0] == 401
        assert ask(server, "/metrics", headers={"Authorization": "Bearer other"})[0] == 401
        assert ask(server, "/metrics", headers={"Authorization": "Bearer secret"})[0] == 200


def test_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    signed = self_signed(tmp_path)
    with playing(transcript(page("x 1\n")), tls=signed.context) as server:
        assert server.url.startswith("https://")
        where = server.url.removeprefix("https://")
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection(where, timeout=10).request("GET", "/metrics")
        trusting = ssl.create_default_context(cafile=signed.authority)
        connection = http.client.HTTPSConnection(where, timeout=10, context=trusting)
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"x 1\n"
        connection.close()


def test_a_closed_server_answers_nobody() -> None:
    with playing(transcript(streamed(*PARTS)), faults=Faults(hang_after=1)) as server:
        got = reads(server)
        next(got)
        server.close()
        assert len(list(got)) <= 1
        with pytest.raises(OSError, match=r"refused|reset|Broken pipe"):
            ask(server, CHAT, {})
        server.close()


# ---- recording ---------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_what_is_recorded_is_what_is_played(framing: str) -> None:
    parts = ((0.02, "data: a\n\nda"), (0.06, "ta: \udce6"), (0.1, "\udc97\udca5\n\n"))
    series = "x:tokens_total"
    first = streamed(*parts, framing=framing).model_copy(update={"adds": {series: 3.0}})
    told = transcript(first, page(f"{series} 1\nother 2\n"))
    with (
        playing(told) as server,
        recording(server.url, counting=Counting("/metrics", "^x:"), hidden=" a") as recorder,
    ):
        body = {"stream": True, "max_tokens": 3, "stream_options": {"include_usage": True}}
        expected = ask(recorder.url, CHAT, body)
        ask(recorder.url, CHAT, body)
        assert ask(recorder.url, "/metrics?x=1") == (200, f"{series} 7\nother 2\n".encode())
        ask(recorder.url, "/nothing")
    made = recorder.transcript("none", "0", "recorded from a test", "nothing")
    assert len(made.exchanges) == 3
    chat, counters, nothing = made.exchanges
    assert chat.asked.equals == {
        "stream": True,
        "max_tokens": 3,
        "stream_options.include_usage": True,
    }
    assert chat.adds == {series: 3.0}
    assert chat.answer.framing == "wire"
    assert chat.answer.pieces is not None
    assert [at for at, _ in chat.answer.pieces][-1] >= 0.1
    assert counters.answer.text == f"{series} 7\n"
    assert nothing.answer.status == 404
    with playing(made) as server:
        assert ask(server, CHAT, body)[1] == expected[1].replace(b" a", b"xx")
