"""The endpoint before real servers that it did not start.

What it makes of a llama-server and of a vLLM that a runner has launched is held against what that
runner tells in tests/contract (test_an_endpoint_sees_what_the_launch_tells). Here are servers as
people start them by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, Message, Request, RequestError, Server
from runners.base.process import free_port
from runners.base.speculation import AS_SERVED, PLAIN_DECODING, Speculation
from runners.base.stream import fetch
from runners.registry import make_runner
from tests.live.answers import answer, text
from tests.live.builds import llama_server, why_absent
from tests.live.not_built import environment_of, why_not
from tests.models.export import Family

pytestmark = pytest.mark.live

ASK = Request(
    (Message("user", "def read_lines(path):\n    with open(path) as file:\n        return"),),
    64,
    timeout_s=60,
)
PYTHON = environment_of("mlx")
needs_llama_server = pytest.mark.skipif(
    llama_server() is None, reason=str(why_absent("llama-server"))
)
needs_mlx = pytest.mark.skipif(PYTHON is None, reason=why_not("mlx"))
MTP = ("--spec-type", "draft-mtp", "--spec-draft-n-max", "3")


@contextlib.asynccontextmanager
async def running(
    argv: Sequence[str], folder: Path, **environment: str
) -> AsyncIterator[tuple[str, int]]:
    """A server with `--port` behind its own arguments: its address and process."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        *(*argv, "--port", str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(60):
            while not await is_up(address):
                assert process.returncode is None
                await asyncio.sleep(0.1)
        yield address, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def is_up(address: str) -> bool:
    try:
        return (await fetch(f"{address}/health", timeout_s=5)).status == 200
    except RequestError:
        return False


@contextlib.asynccontextmanager
async def attached(address: str, log: Path) -> AsyncIterator[Server]:
    spec = LaunchSpec(None, Speculation(AS_SERVED))
    server = await make_runner("endpoint", address).start(spec, log, 60)
    try:
        yield server
    finally:
        await server.stop()


@needs_llama_server
@pytest.mark.parametrize("k", [None, 3])
async def test_llama_server_tells_what_its_launch_would(
    family: Family, tmp_path: Path, k: int | None
) -> None:
    """Without /metrics, /slots or anything else that the runner llama.cpp switches on."""
    speculation = PLAIN_DECODING if k is None else Speculation("mtp", k)
    model = family.qwen3 if k is None else family.qwen35_mtp
    options = (("threads", 1), ("threads-batch", 1))
    launched = await make_runner("llama.cpp", str(llama_server())).start(
        LaunchSpec(model, speculation, options, 1024), tmp_path / "launched", 60
    )
    try:
        expected, ours = await answer(launched, ASK)
    finally:
        await launched.stop()
    argv = [str(llama_server()), "-m", str(model), "-c", "1024", "-t", "1", "-tb", "1"]
    if k is not None:
        argv += MTP
    async with (
        running(argv, tmp_path) as (address, pid),
        attached(address, tmp_path / "log") as server,
    ):
        bursts, theirs = await answer(server, ASK)
        again, _ = await answer(server, ASK)
        assert server.pid == pid
        assert (await server.review()).disagreement is None
    assert text(bursts) == text(again) == text(expected)
    for name in ("output_tokens", "prompt_tokens", "drafted", "accepted", "steps"):
        assert getattr(theirs, name) == getattr(ours, name), name
    assert theirs.cached_tokens == 0
    assert theirs.first_burst_at_most is None
    assert bool(theirs.drafted) == (k is not None)


@needs_mlx
async def test_mlx_lm_is_measured_and_tells_of_no_drafts(family: Family, tmp_path: Path) -> None:
    """Without a cache of Hugging Face's, in which case its list of models breaks off."""
    launched = await make_runner("mlx", PYTHON).start(
        LaunchSpec(family.qwen3_hf, PLAIN_DECODING), tmp_path / "launched", 60
    )
    try:
        expected, ours = await answer(launched, ASK)
    finally:
        await launched.stop()
    program = Path(str(PYTHON)).with_name("mlx_lm.server")
    drafts = ("--draft-model", str(family.draft_hf), "--num-draft-tokens", "3")
    argv = [str(program), "--model", str(family.qwen3_hf), *drafts]
    async with (
        running(argv, tmp_path, HF_HUB_CACHE=str(tmp_path / "none")) as (address, pid),
        attached(address, tmp_path / "log") as server,
    ):
        bursts, theirs = await answer(server, ASK)
        assert server.pid == pid
        assert await server.counters() is None
    assert text(bursts) == text(expected)
    assert (theirs.output_tokens, theirs.prompt_tokens) == (ours.output_tokens, ours.prompt_tokens)
    assert (theirs.drafted, theirs.accepted, theirs.steps) == (None, None, None)


@needs_llama_server
async def test_leaving_leaves_the_server_as_it_was(family: Family, tmp_path: Path) -> None:
    argv = [str(llama_server()), "-m", str(family.qwen3), "-c", "1024", "-t", "1"]
    async with running(argv, tmp_path) as (address, _):
        async with attached(address, tmp_path / "log") as server:
            first, _ = await answer(server, ASK)
        assert await is_up(address)
        async with attached(address, tmp_path / "log") as server:
            assert text((await answer(server, ASK))[0]) == text(first)


@needs_llama_server
async def test_a_key_that_llama_server_wants(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [str(llama_server()), "-m", str(family.qwen3), "-c", "1024", "-t", "1"]
    monkeypatch.setenv("SOME_KEY", "sk-abc")
    async with running([*argv, "--api-key", "sk-abc"], tmp_path) as (address, _):
        runner = make_runner("endpoint", address, "SOME_KEY")
        spec = LaunchSpec(None, Speculation(AS_SERVED))
        server = await runner.start(spec, tmp_path / "log", 60)
        _, completion = await answer(server, ASK)
    assert completion.drafted == 0
    assert "sk-abc" not in (tmp_path / "log").read_text()
    assert "sk-abc" not in runner.reproduce(spec)
