"""The server around a generator, and its client, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runners.base import generator_server
from runners.base.contract import (
    Burst,
    Completion,
    Message,
    Request,
    RequestError,
    Review,
    StartError,
)
from runners.base.generator_client import GeneratorClient, start_generator
from runners.base.generator_server import GeneratorServer
from runners.base.process import log_tail
from runners.base.stream import JSON, fetch, open_stream
from tests.runners.base import fake_generator
from tests.runners.base.fake_generator import STEPS, Fake


@contextlib.contextmanager
def serving(fake: Fake) -> Iterator[str]:
    server = GeneratorServer(fake)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(text: str = "go") -> Request:
    return Request((Message("user", text),), max_tokens=6, timeout_s=20)


def payload(text: str = "go") -> dict[str, JSON]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 6}


@contextlib.asynccontextmanager
async def started(log: Path, method: str = "ngram") -> AsyncIterator[GeneratorClient]:
    """The fake in a process whose interpreter has no decodebench: isolated, without packages."""
    folder = Path(generator_server.__file__).parent
    command = [sys.executable, "-I", "-S", fake_generator.__file__, str(folder), method]
    client = await start_generator(command, "ngram", log=log, timeout_s=20, why=log_tail)
    try:
        yield client
    finally:
        await client.stop()


async def parts_of(client: GeneratorClient, text: str = "go") -> list[Burst | Completion]:
    return [part async for part in client.stream(ask(text))]


async def test_steps_arrive_as_bursts_and_are_counted(tmp_path: Path) -> None:
    async with started(tmp_path / "log") as client:
        before = await client.counters()
        *bursts, completion = await parts_of(client)
        counted = (await client.counters()).since(before)
    assert all(isinstance(burst, Burst) for burst in bursts)
    assert [b.token_ids for b in bursts if isinstance(b, Burst)] == [s.tokens for s in STEPS]
    assert [b.tokens for b in bursts if isinstance(b, Burst)] == [1, 2, 3]
    said = "".join(b.text for b in bursts if isinstance(b, Burst))
    assert said == "one two drei \N{SNOWMAN}\ufffd"
    assert isinstance(completion, Completion)
    assert (completion.drafted, completion.accepted, completion.steps) == (6, 3, 3)
    assert (completion.output_tokens, completion.finish_reason) == (6, "stop")
    assert (completion.prompt_tokens, completion.cached_tokens) == (9, 0)
    assert completion.peak_memory == 12_345
    assert (counted.drafted, counted.accepted, counted.steps) == (6, 3, 3)
    assert counted.accepted_per_position == (2, 1)
    assert completion.prefill_s is not None
    assert completion.decode_s is not None
    assert completion.decode_rate == pytest.approx(5 / completion.decode_s)


async def test_drafts_that_are_told_of_the_answer_alone(tmp_path: Path) -> None:
    async with started(tmp_path / "log") as client:
        before = await client.counters()
        *_, told = await parts_of(client, "untold-until-the-end")
        counted = (await client.counters()).since(before)
        assert isinstance(told, Completion)
        assert (told.drafted, told.accepted, counted.drafted, counted.accepted) == (6, 3, 6, 3)
        *_, untold = await parts_of(client, "untold")
        assert isinstance(untold, Completion)
        assert (untold.drafted, untold.accepted, untold.steps) == (None, 3, 3)
        # What one answer kept to itself is missing in all totals from then on.
        await parts_of(client)
        later = (await client.counters()).since(before)
    assert (later.drafted, later.accepted, later.steps) == (None, 9, 9)


async def test_next_tokens_and_review(tmp_path: Path) -> None:
    async with started(tmp_path / "log") as client:
        (first, second) = await client.next_tokens(ask(), [5, 8, 9], 2) or ()
        assert await client.next_tokens(ask("untold"), [5], 2) is None
        with pytest.raises(RequestError, match="nothing is written"):
            await client.next_tokens(ask(), [], 2)
        assert await client.review() == Review(remark="hm", draft_limit=4)
    assert (first.token, first.logprob, second.token) == (5, -5.0, 8)
    assert await client.review() == Review()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("refuse", "no such prompt"),
        ("fail", "MemoryError: all is full"),
        ("fail-later", "ValueError: a tensor broke"),
        ("no-end", "ended without its end"),
    ],
)
async def test_failed_request_says_why_and_the_next_one_is_served(
    tmp_path: Path, fault: str, words: str
) -> None:
    async with started(tmp_path / "log") as client:
        with pytest.raises(RequestError, match=words) as caught:
            await parts_of(client, fault)
        assert not caught.value.server_lost
        assert len(await parts_of(client)) == 4
    if fault != "refuse":
        assert "Traceback" in (tmp_path / "log").read_text()


async def test_process_that_dies_in_a_request(tmp_path: Path) -> None:
    async with started(tmp_path / "log") as client:
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            await parts_of(client, "die")
        assert caught.value.server_lost
        with pytest.raises(RequestError, match="was killed by SIGKILL"):
            await client.counters()


async def test_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="exited with status 1: E the generator has no model"):
        async with started(tmp_path / "log", "no-start"):
            pass
    with pytest.raises(StartError, match=r"asked for ngram, but it serves .*: none"):
        async with started(tmp_path / "log", "none"):
            pass


async def test_generation_ends_when_its_client_goes_away() -> None:
    fake = Fake()
    with serving(fake) as address:
        url = f"{address}/generate"
        async with open_stream(url, payload("endless"), timeout_s=20) as stream:
            for _ in range(5):
                await anext(stream)
            assert not fake.closed.is_set()
        assert await asyncio.to_thread(fake.closed.wait, 10)
        made = fake.made
        reply = await fetch(f"{address}/counters", timeout_s=10)
        assert json.loads(reply.body)["steps"] == made + 3


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/generate", {}, 400, "messages"),
        ("/generate", payload() | {"max_tokens": 0}, 400, "max_tokens"),
        ("/generate", payload() | {"max_tokens": "many"}, 400, "many"),
        ("/generate", payload() | {"messages": [{"role": "user"}]}, 400, "content"),
        ("/generate", payload() | {"messages": 7}, 400, "TypeError"),
        ("/next-tokens", payload(), 400, "written"),
        ("/nowhere", {}, 404, "no such page"),
        ("/counters", {}, 404, "no such page"),
    ],
)
async def test_broken_request_is_refused(
    path: str, body: dict[str, JSON], status: int, words: str
) -> None:
    with serving(Fake()) as address:
        reply = await fetch(address + path, body, timeout_s=10)
    assert reply.status == status
    assert words in json.loads(reply.body)["error"]["message"]


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        (b"POST /generate HTTP/1.1\r\n\r\n", b"does not tell its length"),
        (b"POST /generate HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"does not tell its length"),
        (b"POST /generate HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"larger than"),
        (b"POST /generate HTTP/1.1\r\nContent-Length: 4\r\n\r\n{{{{", b"no JSON"),
        (b"POST /generate HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", b"no JSON object"),
        (b"\x16\x03\x01 nonsense\r\n\r\n", b""),
        (b"POST /generate HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b""),
        (b"", b""),
    ],
)
def test_bytes_that_are_no_request_do_not_stop_the_server(
    request_text: bytes, words: bytes
) -> None:
    with serving(Fake()) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request_text)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while more := client.recv(4096):
                answer += more
        assert words in answer
        reply = asyncio.run(fetch(f"{address}/about", timeout_s=10))
        assert json.loads(reply.body)["method"] == "ngram"


def test_silent_client_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator_server._Handler, "timeout", 0.2)
    with serving(Fake()) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            reply = asyncio.run(fetch(f"{address}/about", timeout_s=10))
    assert reply.status == 200
