"""What the runner makes of a vLLM that fails, played by a program without a model."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    Message,
    Missing,
    Request,
    RequestError,
    StartError,
    UsageError,
)
from runners.base.speculation import Speculation
from runners.vllm import runner, server
from runners.vllm.runner import Vllm
from runners.vllm.server import VllmServer
from tests.runners.vllm import fake_vllm
from tests.runners.vllm.fake_vllm import Faults

ASK = Request((Message("user", "Hi"),), max_tokens=12, timeout_s=30)
MTP = Speculation("mtp", 3)
Set = Callable[[Faults], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A script whose Python cannot be told, as of a container."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = tmp_path / "vllm"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{fake_vllm.__file__}' \"$@\"\n")
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def set_faults(monkeypatch: pytest.MonkeyPatch) -> Set:
    return lambda faults: monkeypatch.setenv("FAKE_VLLM", json.dumps(asdict(faults)))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []


class Started:
    """Starts the fake; `log` is where it writes."""

    def __init__(self, program: str, model: Path, tmp_path: Path) -> None:
        self._vllm = Vllm(program)
        self._model = model
        self.log = tmp_path / "log"

    @asynccontextmanager
    async def __call__(
        self, speculation: Speculation = MTP, timeout_s: float = 30
    ) -> AsyncIterator[VllmServer]:
        spec = LaunchSpec(self._model, speculation)
        launched = await self._vllm.start(spec, self.log, timeout_s)
        try:
            yield launched
        finally:
            await launched.stop()

    async def fails(self, speculation: Speculation = MTP, timeout_s: float = 30) -> StartError:
        with pytest.raises(StartError) as caught:
            async with self(speculation, timeout_s):
                pass
        return caught.value


@pytest.fixture
def start(program: str, model: Path, tmp_path: Path) -> Started:
    return Started(program, model, tmp_path)


async def answer(launched: VllmServer) -> tuple[list[Burst], Completion]:
    parts = [part async for part in launched.stream(ASK)]
    *bursts, last = parts
    assert isinstance(last, Completion)
    return [part for part in bursts if isinstance(part, Burst)], last


async def counted(launched: VllmServer) -> Counters:
    counters = await launched.counters()
    assert counters is not None
    return counters


async def test_nothing_wrong(start: Started, set_faults: Set) -> None:
    set_faults(Faults(child=True))
    async with start() as launched:
        before = await counted(launched)
        bursts, completion = await answer(launched)
        after = await counted(launched)
        assert [burst.tokens for burst in bursts] == [1, 2, 2, 2, 2, 2, 1]
        assert (completion.drafted, completion.accepted, completion.steps) == (18, 6, 7)
        # The last step was cut by the limit: the counters cannot tell, and are one step short.
        assert after.since(before).drafted == 18
        assert after.since(before).accepted == 6
        assert after.since(before).steps == 6
        review = await launched.review()
        assert (review.disagreement, review.draft_limit) == (None, 3)


async def test_plain_decoding(start: Started) -> None:
    async with start(Speculation()) as launched:
        bursts, completion = await answer(launched)
        assert (len(bursts), completion.steps, completion.drafted) == (12, 12, 0)
        assert await launched.counters() is None
        found = await launched.next_tokens(ASK, [1, 2], 2)
        assert found is not None
        assert [(each.token, each.logprob) for each in found] == [(4, -0.1), (5, -0.1)]


def test_what_is_found(program: str, set_faults: Set) -> None:
    found = Vllm(program).find()
    assert isinstance(found, Found)
    assert found.version == "0.0.fake"
    assert found.where == f"{program} serve"
    # Now it would fail, but it is not asked again.
    set_faults(Faults(help_status=1))
    assert Vllm(program).find() == found


def test_a_help_that_does_not_know_all(program: str, set_faults: Set) -> None:
    set_faults(Faults(knows_all=False))
    assert isinstance(Vllm(program).find(), Found)


def test_a_help_that_fails(program: str, set_faults: Set, model: Path) -> None:
    set_faults(Faults(help_status=1))
    found = Vllm(program).find()
    assert isinstance(found, Missing)
    assert "exited with status 1: ImportError: libtorch.so: cannot open" in found.reason
    with pytest.raises(UsageError, match="libtorch"):
        Vllm(program).check(LaunchSpec(model))


def test_an_environment_without_vllm() -> None:
    found = Vllm(sys.executable).find()
    assert isinstance(found, Missing)
    assert "vLLM is not installed there" in found.reason


async def test_dies_at_its_first_request(start: Started, set_faults: Set) -> None:
    """As an EAGLE-3 head of another depth does: healthy, HTTP 500, an end with status 0."""
    set_faults(Faults(dies_at_request="status"))
    error = await start.fails()
    assert "did not answer a probe request" in str(error)
    assert str(error).endswith("shape '[-1, 576]' is invalid")
    assert "exited with status 0" in str(error)
    assert "EngineDeadError" in error.log_tail


async def test_is_killed_at_its_first_request(start: Started, set_faults: Set) -> None:
    set_faults(Faults(dies_at_request="killed", child=True))
    assert "was killed by SIGKILL" in str(await start.fails())


@pytest.mark.parametrize("fault", ["ports_taken", "others_ports"])
async def test_a_port_that_is_taken(
    start: Started, set_faults: Set, tmp_path: Path, fault: str
) -> None:
    note = tmp_path / "starts"
    set_faults(Faults(note=str(note), **{fault: 1}))  # type: ignore[arg-type]
    async with start() as launched:
        await answer(launched)
    assert note.read_text() == "xx"
    assert "already in use" not in start.log.read_text()
    set_faults(Faults(note=str(note), **{fault: 9}))  # type: ignore[arg-type]
    assert "3 free ports in a row were taken" in str(await start.fails())


async def test_never_ready(
    start: Started, set_faults: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE_S", 2.0)
    set_faults(Faults(never_ready=True, child=True))
    error = await start.fails(timeout_s=3)
    assert str(error) == "was not ready in time; its log ends with: INFO loading, loading"


async def test_a_start_that_is_cancelled(start: Started, set_faults: Set) -> None:
    set_faults(Faults(never_ready=True, child=True))
    starting = asyncio.create_task(start.fails())
    while not (start.log.exists() and start.log.read_text()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_drafts_nothing(start: Started, set_faults: Set) -> None:
    set_faults(Faults(drafts=False))
    assert str(await start.fails()) == "asked for mtp, but it drafted nothing in the probe request"
    # Looked up in the text, a draft may well not be found.
    start.log.unlink()
    async with start(Speculation("ngram", 3)):
        pass


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ("eagle3", "asked for mtp, but vLLM chose eagle3: it goes by the path of the model"),
        ("deepseek_mtp", None),
        ("mtp", None),
    ],
)
async def test_the_method_that_its_log_tells(
    start: Started, set_faults: Set, chosen: str, reason: str | None
) -> None:
    set_faults(Faults(chosen=chosen))
    if reason is not None:
        assert str(await start.fails()).startswith(reason)
        return
    async with start():
        pass


async def test_a_server_that_cannot_tokenize(start: Started, set_faults: Set) -> None:
    set_faults(Faults(tokenizes=False))
    assert "/tokenize failed with HTTP 404" in str(await start.fails())


async def test_counters_that_come_late(start: Started, set_faults: Set) -> None:
    set_faults(Faults(counts_after_s=0.3))
    async with start() as launched:
        before = await counted(launched)
        await answer(launched)
        after = await counted(launched)
        assert after.since(before).drafted == 18
        assert (await launched.review()).disagreement is None


async def test_counters_that_never_come(
    start: Started, set_faults: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "COUNTED_S", 0.1)
    set_faults(Faults(counts=False))
    async with start() as launched:
        _, completion = await answer(launched)
        assert completion.drafted == 18
        assert await launched.counters() is None
        assert (await launched.review()).draft_limit is None


async def test_sources_that_disagree(start: Started, set_faults: Set) -> None:
    set_faults(Faults(told_more=1))
    async with start() as launched:
        await answer(launched)
        review = await launched.review()
        # Of the probe and the answer.
        assert review.disagreement is not None
        assert "the responses: 10 of 24, /metrics: 8 of 24" in review.disagreement


async def test_a_build_that_tells_nothing_by_request(start: Started, set_faults: Set) -> None:
    set_faults(Faults(told=False))
    async with start() as launched:
        _, completion = await answer(launched)
        assert (completion.drafted, completion.accepted) == (None, None)
        assert completion.steps is not None
        counters = await counted(launched)
        assert counters.drafted > 0
        assert (await launched.review()).disagreement is None


async def test_an_error_in_a_stream_is_not_the_end(start: Started, set_faults: Set) -> None:
    set_faults(Faults(error_after=2))
    async with start() as launched:
        with pytest.raises(RequestError, match="an error: out of blocks") as caught:
            await answer(launched)
        assert not caught.value.server_lost
        # What it drafted is on /metrics, and no response told of it.
        assert (await launched.review()).disagreement is None


async def test_an_answer_beside_one_that_breaks_off(start: Started, set_faults: Set) -> None:
    set_faults(Faults(error_after=2))
    async with start() as launched:
        beside = launched.stream(replace(ASK, max_tokens=8))
        await anext(beside)
        with pytest.raises(RequestError, match="out of blocks"):
            await answer(launched)
        assert isinstance([part async for part in beside][-1], Completion)
        assert (await launched.review()).disagreement is None


async def test_is_killed_in_a_stream(start: Started, set_faults: Set) -> None:
    set_faults(Faults(killed_after=3, child=True))
    async with start() as launched:
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            await answer(launched)
        assert caught.value.server_lost
        with pytest.raises(RequestError):
            await launched.counters()
        assert (await launched.review()).draft_limit is None
