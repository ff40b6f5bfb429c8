"""The endpoint as the rest of the project sees it: keys, certificates, models, other users."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from runners.base.contract import (
    Burst,
    Completion,
    Found,
    LaunchSpec,
    Message,
    Missing,
    Request,
    RequestError,
    Server,
    StartError,
    UsageError,
)
from runners.base.exchange import _tls
from runners.base.speculation import AS_SERVED, PLAIN_DECODING, Speculation
from runners.endpoint.runner import Endpoint
from tests.transcripts.server import Faults, playing, self_signed

SPEC = LaunchSpec(None, Speculation(AS_SERVED))
ASK = Request((Message("user", "Read the lines of a file."),), max_tokens=24, timeout_s=10)
KEY = "sk-hunter2-hunter2"


async def answer(server: Server) -> tuple[list[Burst], Completion]:
    parts = [part async for part in server.stream(ASK)]
    assert isinstance(parts[-1], Completion)
    return [part for part in parts if isinstance(part, Burst)], parts[-1]


def test_without_a_url_there_is_nothing() -> None:
    found = Endpoint().find()
    assert isinstance(found, Missing)
    assert "--url" in found.advice
    with pytest.raises(UsageError, match="no URL is named"):
        Endpoint().check(SPEC)


def test_a_server_that_is_not_there_yet_is_no_mistake(tmp_path: Path) -> None:
    found = Endpoint("http://127.0.0.1:1").find()
    assert isinstance(found, Found)
    assert found.version == "unknown"
    Endpoint("http://127.0.0.1:1").check(SPEC)


async def test_nobody_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no connection to 127\.0\.0\.1:1"):
        await Endpoint("http://127.0.0.1:1").start(SPEC, tmp_path / "log", 10)


async def test_the_key_is_sent_and_stands_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    with playing("openai", faults=Faults(bearer=KEY)) as playback:
        runner = Endpoint(playback.url, "SOME_KEY")
        server = await runner.start(SPEC, tmp_path / "log", 10)
        _, completion = await answer(server)
        assert completion.output_tokens == 24
        said = [runner.reproduce(SPEC), repr(server), repr(vars(server)), str(runner.find())]
        assert not any(KEY in text for text in [*said, (tmp_path / "log").read_text()])
        assert '-H "Authorization: Bearer $SOME_KEY"' in said[0]
        await server.stop()


async def test_a_wrong_key_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "wrong-hunter2")
    with playing("openai", faults=Faults(bearer=KEY)) as playback:
        with pytest.raises(StartError, match=r"HTTP 401.*the key was sent") as caught:
            await Endpoint(playback.url, "SOME_KEY").start(SPEC, tmp_path / "log", 10)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(StartError, match=r"no key was sent; --api-key-env names"):
            await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)


async def test_a_key_that_is_not_set_is_a_mistake_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="SOME_KEY holds no key"):
        await Endpoint("http://127.0.0.1:1", "SOME_KEY").start(SPEC, tmp_path / "log", 10)


def test_a_key_in_place_of_the_name_of_its_variable_is_not_shown() -> None:
    for key in ("sk-hunter2", "hunter2.x", "$hunter2", ""):
        with pytest.raises(UsageError, match="takes the name of an environment") as caught:
            Endpoint("http://127.0.0.1:1", key)
        assert "hunter2" not in str(caught.value)


async def test_a_key_that_could_be_a_name_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="that --api-key-env names holds no key") as caught:
        await Endpoint("http://127.0.0.1:1", "gsk_hunter2").start(SPEC, tmp_path / "log", 10)
    assert "hunter2" not in str(caught.value)


async def test_a_certificate_that_nobody_knows_is_refused_and_one_that_is_known_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = self_signed(tmp_path)
    with playing("openai", tls=signed.context) as playback:
        with pytest.raises(StartError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
            await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        monkeypatch.setenv("SSL_CERT_FILE", str(signed.authority))
        _tls.cache_clear()
        try:
            server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
            bursts, completion = await answer(server)
            assert sum(burst.tokens for burst in bursts) == completion.output_tokens == 24
        finally:
            _tls.cache_clear()


async def test_http_that_is_told_to_be_https(tmp_path: Path) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with plain:
        url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        with pytest.raises(StartError, match="no secure connection"):
            await Endpoint(url).start(SPEC, tmp_path / "log", 10)


@pytest.mark.parametrize(
    ("faults", "words", "lost"),
    [
        (Faults(break_after=3), "closed the connection|broke the connection", True),
        (Faults(garbage_after=3), "cannot be read|does not speak HTTP|broken", None),
        (Faults(status=429, retry_after_s=7), "HTTP 429: told to fail", False),
        (Faults(status=500), "HTTP 500: told to fail", False),
        (Faults(hang_after=3), "no end after", None),
    ],
    ids=["dies", "garbage", "429", "500", "hangs"],
)
async def test_a_request_that_fails_says_why_and_the_next_one_works(
    faults: Faults, words: str, lost: bool | None, tmp_path: Path
) -> None:
    with playing("vllm") as playback:
        server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        playback.faults = faults
        short = Request(ASK.messages, ASK.max_tokens, timeout_s=1.0)
        with pytest.raises(RequestError, match=words) as caught:
            [part async for part in server.stream(short)]
        if lost is not None:
            assert caught.value.server_lost is lost
        playback.faults = Faults()
        _, completion = await answer(server)
        assert completion.output_tokens == 24
        await server.counters()
        await server.review()


async def test_a_server_that_dies_between_requests(tmp_path: Path) -> None:
    with playing("vllm") as playback:
        server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
    with pytest.raises(RequestError, match="no connection") as caught:
        await answer(server)
    assert caught.value.server_lost
    with pytest.raises(RequestError):
        await server.counters()
    assert (await server.review()).disagreement is None


async def test_counters_that_count_others_too_are_not_taken_for_ours(tmp_path: Path) -> None:
    with playing("tgi") as playback:
        server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        assert await server.counters() is not None
        other = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        await answer(other)
        assert await server.counters() is None
        disagreement = (await server.review()).disagreement
        assert disagreement is not None
        assert "other users" in disagreement


async def test_a_server_that_is_started_anew_counts_from_nothing(tmp_path: Path) -> None:
    with playing("tgi") as playback:
        server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        await answer(server)
        await server.counters()
        playback._added.clear()
        await answer(server)
        assert await server.counters() is None
        disagreement = (await server.review()).disagreement
        assert disagreement is not None
        assert "started anew" in disagreement


def test_other_ways_of_decoding_cannot_be_had() -> None:
    with pytest.raises(UsageError, match="decodes as it was started"):
        Endpoint("http://127.0.0.1:1").check(LaunchSpec(None, PLAIN_DECODING))


@pytest.mark.parametrize(
    "name", ["messages", "stream", "max_tokens", "temperature", "seed", "n", "cache_salt"]
)
def test_fields_that_bench_sets_itself(name: str) -> None:
    spec = LaunchSpec(None, Speculation(AS_SERVED), options=((name, 1),))
    with pytest.raises(UsageError, match=f"bench sets the field '{name}'"):
        Endpoint("http://127.0.0.1:1").check(spec)


async def test_fields_of_the_users_own_are_sent_with_each_request(tmp_path: Path) -> None:
    spec = LaunchSpec(None, Speculation(AS_SERVED), options=(("top_k", 1), ("model", "mine")))
    with playing("no-usage") as playback:
        server = await Endpoint(playback.url).start(spec, tmp_path / "log", 10)
        await answer(server)
        sent = [seen.body for seen in playback.seen if seen.method == "POST"]
        assert sent
        assert all(body["top_k"] == 1 and body["model"] == "mine" for body in sent)


async def test_the_process_of_a_server_on_this_machine_is_found(tmp_path: Path) -> None:
    with playing("openai") as playback:
        server = await Endpoint(playback.url).start(SPEC, tmp_path / "log", 10)
        assert server.pid == os.getpid()
        named = playback.url.replace("127.0.0.1", socket.gethostbyname("localhost"))
        assert (await Endpoint(named).start(SPEC, tmp_path / "log", 10)).pid == os.getpid()
