"""Starts and ends of SGLang, TGI and TensorRT-LLM, with programs that only answer like them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import psutil
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
    Runner,
    StartError,
)
from runners.base.speculation import METHODS, Speculation
from runners.endpoint import launched
from runners.endpoint.launched import LaunchedServer
from runners.endpoint.server import EndpointServer
from runners.sglang.runner import Sglang
from runners.tensorrt_llm.runner import TensorRtLlm
from runners.tgi.runner import Tgi
from tests.runners.endpoint.fake_program import OUT_OF_MEMORY, Faults
from tests.runners.endpoint.programs import install, model_folder

ASK = Request((Message("user", "Hi"),), max_tokens=40, timeout_s=30)
KINDS: dict[str, type[LaunchedServer]] = {
    "sglang": Sglang,
    "tgi": Tgi,
    "tensorrt_llm": TensorRtLlm,
}
METHOD = {"sglang": "eagle3", "tgi": "ngram", "tensorrt_llm": "eagle3"}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runner(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaunchedServer:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    monkeypatch.setattr(launched, "GRACE_S", 2.0)
    (tmp_path / "t").mkdir()
    return KINDS[kind](install(kind, tmp_path / "program"))


Set = Callable[[Faults], None]


@pytest.fixture
def set_faults(monkeypatch: pytest.MonkeyPatch) -> Set:
    return lambda faults: monkeypatch.setenv("FAKE_PROGRAM", json.dumps(asdict(faults)))


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []
    assert list((tmp_path / "t").iterdir()) == []


class Started:
    """Starts a launch, with a log."""

    def __init__(self, runner: LaunchedServer, kind: str, tmp_path: Path) -> None:
        self._runner = runner
        self._model = model_folder(tmp_path / "model")
        self._draft = model_folder(tmp_path / "draft") if kind != "tgi" else None
        self.speculation = Speculation(METHOD[kind], 3, self._draft)
        self.log = tmp_path / "r1-arm.log"

    @asynccontextmanager
    async def __call__(
        self, speculation: Speculation, timeout_s: float = 30
    ) -> AsyncIterator[EndpointServer]:
        spec = LaunchSpec(self._model, speculation)
        server = await self._runner.start(spec, self.log, timeout_s)
        try:
            yield server
        finally:
            await server.stop()
            await server.stop()

    async def fails(self, speculation: Speculation, timeout_s: float = 30) -> StartError:
        with pytest.raises(StartError) as caught:
            async with self(speculation, timeout_s):
                pass
        return caught.value


@pytest.fixture
def start(runner: LaunchedServer, kind: str, tmp_path: Path) -> Started:
    return Started(runner, kind, tmp_path)


async def answer(server: EndpointServer) -> Completion:
    parts = [part async for part in server.stream(ASK)]
    *bursts, last = parts
    assert isinstance(last, Completion)
    assert sum(part.tokens for part in bursts if isinstance(part, Burst)) == ASK.max_tokens
    return last


def test_they_are_runners(runner: LaunchedServer) -> None:
    a_runner: Runner = runner
    found = a_runner.find()
    assert isinstance(found, Found)
    assert [support.method for support in found.methods] == list(METHODS)
    assert not a_runner.attached
    assert isinstance(type(runner)("no-such-program").find(), Missing)


async def test_plain_decoding(start: Started) -> None:
    async with start(Speculation()) as server:
        assert server.pid in psutil.pids()
        completion = await answer(server)
        assert completion.output_tokens == ASK.max_tokens


async def test_speculation_is_counted(start: Started, kind: str, set_faults: Set) -> None:
    set_faults(Faults(child=True))
    async with start(start.speculation) as server:
        before = await server.counters()
        completion = await answer(server)
        after = await server.counters()
        if kind == "sglang":
            assert (completion.drafted, completion.accepted, completion.steps) == (60, 19, 21)
            return
        assert before is not None
        assert after is not None
        spent = after.since(before)
        assert spent.accepted == 19
        assert spent.drafted == (None if kind == "tgi" else 60)


async def test_the_file_of_a_launch_stands_beside_its_log(
    start: Started, kind: str, tmp_path: Path
) -> None:
    async with start(start.speculation):
        pass
    config = tmp_path / "r1-arm.yaml"
    assert config.exists() is (kind == "tensorrt_llm")
    if config.exists():
        assert json.loads(config.read_text())["speculative_config"]["max_draft_len"] == 3


async def test_the_next_port_where_one_is_taken(
    start: Started, tmp_path: Path, set_faults: Set
) -> None:
    set_faults(Faults(ports_taken=1, note=str(tmp_path / "starts")))
    async with start(Speculation()):
        assert (tmp_path / "starts").read_text() == "xx"
    set_faults(Faults(ports_taken=9, note=str(tmp_path / "others")))
    assert "ports in a row" in str(await start.fails(Speculation()))


async def test_why_it_did_not_start(start: Started, set_faults: Set) -> None:
    set_faults(Faults(fails=True))
    error = await start.fails(Speculation())
    assert str(error) == f"exited with status 1: {OUT_OF_MEMORY}"
    assert OUT_OF_MEMORY in error.log_tail


async def test_it_is_never_ready(start: Started, set_faults: Set) -> None:
    set_faults(Faults(never_ready=True, child=True))
    error = await start.fails(Speculation(), timeout_s=3)
    assert "was not ready in time; its log ends with: loading, loading" in str(error)


async def test_it_runs_without_the_speculation_that_was_asked_for(
    start: Started, kind: str, set_faults: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.tensorrt_llm.runner.COUNTED_S", 0.2)
    set_faults(Faults(ignores=True))
    error = await start.fails(start.speculation)
    words = {
        "sglang": "asked for eagle3 (EAGLE3), but it runs without",
        "tensorrt_llm": "asked for eagle3, but it drafted nothing in two requests",
        "tgi": "asked for 3 draft tokens, but its log tells of none",
    }
    assert words[kind] in str(error)


async def test_it_drafts_another_length(start: Started, kind: str, set_faults: Set) -> None:
    set_faults(Faults(length=5))
    told = "its log tells of 5" if kind == "tgi" else "it makes 5"
    assert f"asked for 3 draft tokens, but {told}" in str(await start.fails(start.speculation))


async def test_it_speculates_when_nobody_asked(start: Started, kind: str, set_faults: Set) -> None:
    set_faults(Faults(length=5))
    asked = "no draft tokens" if kind == "tgi" else "plain decoding"
    assert f"asked for {asked}, but it" in str(await start.fails(Speculation()))


async def test_it_dies_during_a_request(start: Started, set_faults: Set) -> None:
    set_faults(Faults(killed_after=5))
    async with start(Speculation()) as server:
        with pytest.raises(RequestError) as caught:
            await answer(server)
        assert caught.value.server_lost
        assert OUT_OF_MEMORY in str(caught.value)
        assert "exited with status 1" in str(caught.value)


async def test_a_folder_that_cannot_be_written(
    runner: LaunchedServer, kind: str, tmp_path: Path
) -> None:
    spec = LaunchSpec(model_folder(tmp_path / "model"))
    with pytest.raises(StartError, match="write"):
        await runner.start(spec, tmp_path / "none" / "log", 5)
