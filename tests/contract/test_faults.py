"""The endpoint, when servers and networks fail in the middle of an answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    RequestError,
    Server,
    StartError,
    UsageError,
)
from runners.base.speculation import AS_SERVED, Speculation
from runners.endpoint.runner import Endpoint
from runners.registry import KINDS, make_runner
from tests.contract.contract import text, told
from tests.contract.guises import GUISES, KEY, VARIABLE, usual
from tests.contract.setting import ASK
from tests.transcripts.server import Faults, TranscriptServer, playing
from tests.transcripts.transcript import names, read

START_S = 20.0


@asynccontextmanager
async def attached(
    name: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TranscriptServer, Server]]:
    """The endpoint at a transcript that is played as fast as it can be."""
    monkeypatch.setenv(VARIABLE, KEY)
    with playing(name, scale=0, faults=usual(name)) as played:
        endpoint = Endpoint(played.url, VARIABLE if usual(name).bearer else None)
        spec = LaunchSpec(None, Speculation(AS_SERVED), GUISES[name].options)
        yield played, await endpoint.start(spec, log, START_S)


@pytest.mark.parametrize("name", names())
async def test_an_answer_that_breaks_off_is_never_taken_for_a_shorter_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with attached(name, tmp_path / "log", monkeypatch) as (played, server):
        whole, completion = await told(server, ASK)
        errors: list[RequestError] = []
        for sent in (0, 1, 2, 5, 10, 20):
            played.faults = replace(usual(name), break_after=sent)
            try:
                bursts, shorter = await told(server, ASK)
            except RequestError as error:
                errors.append(error)
            else:  # All that matters was there.
                assert text(bursts) == text(whole)
                assert shorter.output_tokens == completion.output_tokens
        assert len(errors) >= 3
        assert all(error.server_lost and str(error).strip() for error in errors)
        played.faults = usual(name)
        again, _ = await told(server, ASK)
        assert text(again) == text(whole)


@pytest.mark.parametrize("name", [name for name in names() if read(name).recorded])
async def test_all_that_is_asked_was_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is time to record these servers anew: tests/transcripts/record_real.py."""
    async with attached(name, tmp_path / "log", monkeypatch) as (played, server):
        await server.counters()
        await told(server, ASK)
        await server.counters()
        await server.review()
    assert played.unknown == []


@pytest.mark.parametrize("name", names())
async def test_garbage_in_an_answer_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with attached(name, tmp_path / "log", monkeypatch) as (played, server):
        for sent in (0, 1, 3):
            played.faults = replace(usual(name), garbage_after=sent)
            with pytest.raises(RequestError) as caught:
                await told(server, ASK)
            assert str(caught.value).strip()
            assert "\x00" not in str(caught.value)
        played.faults = usual(name)
        await told(server, ASK)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refused_request_is_no_lost_server(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with attached("sglang", tmp_path / "log", monkeypatch) as (played, server):
        played.faults = replace(usual("sglang"), status=status, retry_after_s=3)
        with pytest.raises(RequestError, match=f"HTTP {status}: told to fail") as caught:
            await told(server, ASK)
        assert not caught.value.server_lost
        played.faults = usual("sglang")
        await told(server, ASK)


@pytest.mark.parametrize(
    "faults", [Faults(break_after=2), Faults(hang_after=2), Faults(garbage_after=2)], ids=repr
)
async def test_a_server_that_fails_its_probe_does_not_start(faults: Faults, tmp_path: Path) -> None:
    with playing("vllm", scale=0, faults=faults) as played:
        spec = LaunchSpec(None, Speculation(AS_SERVED))
        with pytest.raises(StartError, match="probe request"):
            await Endpoint(played.url).start(spec, tmp_path / "log", 1.0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mock"])
def test_what_is_not_there_is_said(kind: str, tmp_path: Path) -> None:
    """With a name of nothing; those that take no program are found, or not, as they are."""
    program = "http://127.0.0.1:9/v1" if kind == "endpoint" else str(tmp_path / "none")
    runner = make_runner(kind)
    with contextlib.suppress(UsageError):
        runner = make_runner(kind, program)
    found = runner.find()
    if isinstance(found, Missing):
        assert found.reason.strip()
        assert found.advice.strip()
    else:
        assert isinstance(found, Found)
        assert found.version.strip()
