"""What the runner makes of an Ollama that fails or is old, played by a program without a model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runners.base.contract import (
    Found,
    LaunchSpec,
    Message,
    Missing,
    OptionValue,
    Request,
    RequestError,
    StartError,
    UsageError,
)
from runners.base.exchange import split_url
from runners.base.listener import listener
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.ollama.models import Models
from runners.ollama.runner import Ollama
from runners.ollama.server import OllamaServer
from tests.live.answers import answer, text
from tests.runners.ollama import fake_ollama
from tests.runners.ollama.conftest import Install
from tests.runners.ollama.fake_ollama import Faults

ASK = Request((Message("user", "Hi"),), max_tokens=12, timeout_s=30)
OLD = "0.12.6"


@contextlib.asynccontextmanager
async def serving(
    program: str,
    model: Path,
    log: Path,
    speculation: Speculation = PLAIN_DECODING,
    **options: OptionValue,
) -> AsyncIterator[OllamaServer]:
    spec = LaunchSpec(model, speculation, tuple(options.items()), context=512)
    server = await Ollama(program).start(spec, log, 20)
    try:
        yield server
    finally:
        await server.stop()
        await server.stop()


async def refused(program: str, model: Path, log: Path, timeout_s: float = 20) -> str:
    with pytest.raises(StartError) as failure:
        await Ollama(program).start(LaunchSpec(model), log, timeout_s)
    assert not left_in(log.parent)
    return str(failure.value)


def left_in(folder: Path) -> list[Path]:
    """Model stores of launches."""
    return list(folder.glob("*.models"))


def noted(note: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in note.read_text().splitlines()]


# ---- starting ------------------------------------------------------------------------------------


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(Ollama().find(), Missing)
    found = Ollama("/nowhere/ollama").find()
    assert isinstance(found, Missing)
    assert "/nowhere/ollama" in found.reason


def test_another_program(tmp_path: Path) -> None:
    script = tmp_path / "ollama"
    script.write_text("#!/bin/sh\necho I am a llama\n")
    script.chmod(0o755)
    found = Ollama(str(script)).find()
    assert isinstance(found, Missing)
    assert "I am a llama" in found.reason


async def test_a_port_that_is_taken(install: Install, model: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    program = install(Faults(ports_taken=str(taken)))
    async with serving(program, model, tmp_path / "log"):
        assert taken.exists()


async def test_faults_of_starting(install: Install, model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "permission denied" in await refused(install(Faults(serve_fails=True)), model, log)
    said = await refused(install(Faults(never_ready=True)), model, log, timeout_s=2)
    assert "was not ready in time" in said
    said = await refused(install(Faults(create_error="supplied file was not GGUF")), model, log)
    assert "cannot be served" in said
    assert "was not GGUF" in said
    said = await refused(install(Faults(load_error="unable to allocate CUDA0")), model, log)
    assert "unable to allocate CUDA0" in said
    said = await refused(install(Faults()), tmp_path / "none.gguf", log)
    assert "cannot be read" in said


async def test_everything_that_it_started_is_ended(
    install: Install, model: Path, tmp_path: Path
) -> None:
    async with serving(install(Faults(leaves_a_child=True)), model, tmp_path / "log") as server:
        assert server.pid is not None


# ---- requests ------------------------------------------------------------------------------------


async def test_a_plain_answer(install: Install, model: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with serving(
        install(Faults(note=str(note), version=OLD)), model, tmp_path / "log"
    ) as server:
        bursts, completion = await answer(server, ASK)
        assert await server.counters() is None
        assert await server.next_tokens(ASK, (), 3) is None
        assert (await server.review()).remark is None
    assert text(bursts) == "word " * 12
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens == 12
    assert completion.first_burst_at_most is None
    assert (completion.prompt_tokens, completion.cached_tokens) == (7, 0)
    assert (completion.drafted, completion.accepted, completion.steps) == (0, 0, 12)
    assert completion.finish_reason == "length"
    assert completion.prefill_s == pytest.approx(0.001)
    assert completion.decode_rate == pytest.approx(12_000)
    asked = noted(note)
    # Before 0.30 the parameter does not exist.
    assert asked[0]["parameters"] == {"num_ctx": 512}
    assert asked[-1]["what"] == "chat"
    # Nothing of what a model is loaded with is in a request: it would be loaded anew.
    assert set(asked[-1]["options"]) == {
        *("temperature", "seed", "num_predict", "repeat_penalty"),
        *("presence_penalty", "frequency_penalty"),
    }


async def test_chunks_of_several_tokens(install: Install, model: Path, tmp_path: Path) -> None:
    async with serving(install(Faults(chunk_tokens=5)), model, tmp_path / "log") as server:
        bursts, completion = await answer(server, ASK)
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens == 12
    assert completion.first_burst_at_most is not None
    assert completion.first_burst_at_most >= bursts[0].tokens


async def test_nobody_tells_what_was_cached(install: Install, model: Path, tmp_path: Path) -> None:
    async with serving(install(Faults(tells_cached=False)), model, tmp_path / "log") as server:
        _, completion = await answer(server, ASK)
    assert (completion.cached_tokens, completion.prefill_s) == (None, None)


@pytest.mark.parametrize(
    ("faults", "words", "lost"),
    [
        (Faults(dies_after=3), "was killed by SIGKILL during the request", True),
        (Faults(child_dies_after=3), "the model's process has died", True),
        (Faults(ends_after=3), "ended without its last line", True),
        (Faults(repeats_after=3), "repeats one piece of text", False),
        (Faults(status=500), "llama-server is unhappy", False),
        (Faults(tells_count=False), "does not tell how many tokens", False),
    ],
)
async def test_faults_of_answers(
    install: Install, model: Path, tmp_path: Path, faults: Faults, words: str, lost: bool
) -> None:
    if not faults.tells_count:  # The probe sees it first.
        said = await refused(install(faults), model, tmp_path / "log")
        assert words in said
        return
    async with serving(install(faults), model, tmp_path / "log") as server:
        with pytest.raises(RequestError, match=words) as failure:
            await answer(server, ASK)
        assert failure.value.server_lost == lost


async def test_hanging(install: Install, model: Path, tmp_path: Path) -> None:
    async with serving(install(Faults(hangs_after=3)), model, tmp_path / "log") as server:
        with pytest.raises(RequestError, match="no end after 1 s"):
            await answer(server, Request(ASK.messages, 12, timeout_s=1))


async def test_a_cancelled_stop_leaves_no_store(
    install: Install, model: Path, tmp_path: Path
) -> None:
    server = await Ollama(install(Faults())).start(LaunchSpec(model), tmp_path / "log", 60)
    assert (tmp_path / "log.models").exists()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not left_in(tmp_path)


async def test_a_model_that_cannot_be_unloaded_is_deleted_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise RequestError("no end after 30 s")

    deleted: list[str] = []
    monkeypatch.setattr("runners.ollama.models.fetch", fails)
    monkeypatch.setattr(
        "runners.ollama.models.status_of", lambda _, method, *__: deleted.append(method)
    )
    await Models("http://127.0.0.1:1", "decodebench-1").remove()
    assert deleted == ["DELETE"]


async def test_cancelled_start(install: Install, model: Path, tmp_path: Path) -> None:
    program = install(Faults(never_ready=True))
    start = asyncio.create_task(Ollama(program).start(LaunchSpec(model), tmp_path / "log", 60))
    await asyncio.sleep(1)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not left_in(tmp_path)


# ---- versions and speculation --------------------------------------------------------------------


def test_before_0_30_it_says_that_it_cannot_speculate(install: Install, model: Path) -> None:
    ollama = Ollama(install(Faults(version=OLD)))
    found = ollama.find()
    assert isinstance(found, Found)
    assert (found.version, found.acceptance_source) == (OLD, "none: it runs without speculation")
    support = {each.method: each for each in found.methods}
    assert [name for name, each in support.items() if each.supported] == ["none"]
    assert "0.30 or later" in support["mtp"].note
    with pytest.raises(UsageError, match=r"needs Ollama 0\.30 or later"):
        ollama.check(LaunchSpec(model, Speculation("mtp", 2)))


def test_too_old_to_import(install: Install, model: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.5\.5 and later"):
        Ollama(install(Faults(version="0.5.4"))).check(LaunchSpec(model))


async def test_speculation_that_nothing_shows(
    install: Install, model: Path, tmp_path: Path
) -> None:
    """Of a version whose log says nothing that is understood: an error, not a slow result."""
    with pytest.raises(StartError, match="its log names no llama-server"):
        async with serving(install(Faults()), model, tmp_path / "log", Speculation("mtp", 2)):
            pass


async def test_the_switch_that_is_none(
    install: Install, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_SPECULATIVE_DECODING", "1")
    program = install(Faults())
    found = Ollama(program).find()
    assert isinstance(found, Found)
    mtp = next(each for each in found.methods if each.method == "mtp")
    assert "no version of Ollama reads OLLAMA_SPECULATIVE_DECODING" in mtp.note
    async with serving(program, model, tmp_path / "log") as server:
        assert "does nothing" in str((await server.review()).remark)


# ---- a server that runs already ------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a fake that somebody else has started, and its note."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    note = tmp_path / "note"
    env = {
        **os.environ,
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(tmp_path / "models"),
        "FAKE_OLLAMA": json.dumps(asdict(Faults(note=str(note), tells_cached=False))),
    }
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, fake_ollama.__file__, "serve"], env=env, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(200):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api/version").close()
            break
        time.sleep(0.05)
    yield address, note
    process.terminate()
    process.wait()


async def test_an_address(
    running: tuple[str, Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, note = running
    ollama = Ollama(f"{address}/")
    found = ollama.find()
    assert isinstance(found, Found)
    assert (found.where, found.version) == (address, "0.33.0")
    assert "not exposed" in found.acceptance_source
    support = {each.method: each for each in found.methods}
    assert support["mtp"].supported
    assert "runs already" in support["ngram-simple"].note
    with pytest.raises(UsageError, match="environment of the server"):
        ollama.check(LaunchSpec(model, options=(("OLLAMA_FLASH_ATTENTION", True),)))

    log = tmp_path / "launch.log"
    async with serving(address, model, log, Speculation("mtp", 3), think=False) as server:
        assert server.pid == listener("127.0.0.1", split_url(address).port)
        _, completion = await answer(server, ASK)
        assert await server.counters() is None
        assert await server.next_tokens(ASK, (), 3) is None
    assert (completion.drafted, completion.accepted, completion.steps) == (None, None, None)
    assert (completion.cached_tokens, completion.prefill_s) == (None, None)
    asked = noted(note)
    made = asked[0]
    assert made["what"] == "create"
    assert made["files"].keys() == {"a model.gguf"}
    assert made["parameters"]["draft_num_predict"] == 3
    # Not for good: this bench could be killed.
    assert [each["keep_alive"] for each in asked if "keep_alive" in each] == ["30m", 0]
    assert asked[-3]["think"] is False
    # It is unloaded and deleted, and nothing else is.
    assert (asked[-2]["what"], asked[-2]["keep_alive"]) == ("generate", 0)
    assert (asked[-1]["what"], asked[-1]["model"]) == ("delete", made["model"])
    # The file was sent once, and is not sent again.
    digest = made["files"]["a model.gguf"].replace(":", "-")
    assert same_bytes(tmp_path / "models" / "blobs" / digest, model)


def same_bytes(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:1", "nobody answers"),
        ("http://", "no address"),
        ("http://127.0.0.1:99999", "is no address"),
        ("http://user:hunter2@127.0.0.1:1", "user name or password"),
        ("http://127.0.0.1:1/?key=hunter2", "more than a path"),
    ],
)
def test_addresses_without_an_ollama(address: str, words: str, model: Path) -> None:
    found = Ollama(address).find()
    assert isinstance(found, Missing)
    assert words in found.reason
    assert "hunter2" not in f"{found.reason} {found.advice}"
    with pytest.raises(UsageError, match=re.escape(words)):
        Ollama(address).check(LaunchSpec(model))
