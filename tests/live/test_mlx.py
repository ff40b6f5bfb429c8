"""The real mlx-lm on the tiny trained models, in the environment that `make runners` makes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runners.base.contract import (
    Counters,
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    Server,
    StartError,
)
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.mlx.runner import Mlx
from runners.registry import make_runner
from tests.live.answers import answer, text, tokens
from tests.live.not_built import environment_of, why_not
from tests.models.export import Family

PYTHON = environment_of("mlx")
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(PYTHON is None, reason=why_not("mlx")),
]

PROMPTS = (
    "def read_lines(path):\n    with open(path) as file:\n        return [line for line in",
    "The first thing that a reader of this chapter should know is that the",
)
ASKS = tuple(Request((Message("user", text),), 128, timeout_s=120) for text in PROMPTS)
ASK = ASKS[0]


def runner() -> Mlx:
    return Mlx(str(PYTHON))


@contextlib.asynccontextmanager
async def serving(
    log: Path, model: Path, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> AsyncIterator[Server]:
    server = await runner().start(LaunchSpec(model, speculation, tuple(options.items())), log, 120)
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def llama_cpp(
    log: Path, model: Path, speculation: Speculation = PLAIN_DECODING
) -> AsyncIterator[Server]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    spec = LaunchSpec(model, speculation, (("threads", 1),))
    server = await make_runner("llama.cpp").start(spec, log, 60)
    try:
        yield server
    finally:
        await server.stop()


async def counted(server: Server) -> tuple[list[list[int]], Counters]:
    """The answers to all prompts, and what speculation they took."""
    before = await server.counters()
    answers = [tokens((await answer(server, ask))[0]) for ask in ASKS]
    after = await server.counters()
    assert before is not None
    assert after is not None
    return answers, after.since(before)


def test_it_is_found_with_version_and_device() -> None:
    found = runner().find()
    assert isinstance(found, Found)
    assert found.version.startswith("mlx-lm 0.")
    assert found.devices
    supports = {support.method: support for support in found.methods}
    assert {name for name, s in supports.items() if s.supported} == {"none", "draft-model"}
    assert supports["mtp"].note.startswith("not supported by mlx-lm 0.")


async def test_plain_tokens_are_llama_cpps(tmp_path: Path, family: Family) -> None:
    async with llama_cpp(tmp_path / "other", family.qwen3) as server:
        expected = [await answer(server, ask) for ask in ASKS]
    async with serving(tmp_path / "log", family.qwen3_hf) as server:
        for ask, (bursts, there) in zip(ASKS, expected, strict=True):
            own, here = await answer(server, ask)
            assert tokens(own) == tokens(bursts)
            assert text(own) == text(bursts)
            assert here.prompt_tokens == there.prompt_tokens
            assert here.output_tokens == here.steps == len(own)
            assert (here.drafted, here.accepted, here.cached_tokens) == (0, 0, 0)
            assert here.finish_reason == there.finish_reason


@pytest.mark.parametrize("k", [1, 2, 3, 4])
async def test_drafts_add_up_and_are_accepted_as_in_llama_cpp(
    tmp_path: Path, family: Family, k: int
) -> None:
    async with serving(tmp_path / "plain", family.qwen3_hf) as server:
        plain, _ = await counted(server)
    speculation = Speculation("draft-model", k, family.draft_hf)
    async with serving(tmp_path / "log", family.qwen3_hf, speculation) as server:
        answers, count = await counted(server)
        again, _ = await counted(server)
        bursts, completion = await answer(server, ASK)
        review = await server.review()
    assert answers == again == plain
    assert review.disagreement is None
    assert review.draft_limit == k
    assert sum(count.accepted_per_position) == count.accepted
    assert list(count.accepted_per_position) == sorted(count.accepted_per_position, reverse=True)
    assert len(count.accepted_per_position) <= k
    assert count.drafted <= count.steps * k
    # A step yields its accepted tokens and one more; an answer's last may end inside a draft.
    made = sum(map(len, answers))
    assert 0 <= count.steps + count.accepted - made <= len(ASKS)
    assert completion.steps == len(bursts)
    assert max(burst.tokens for burst in bursts) <= k + 1
    other = Speculation("draft-model", k, family.draft)
    async with llama_cpp(tmp_path / "other", family.qwen3, other) as server:
        _, theirs = await counted(server)
    ours = count.accepted / count.drafted
    assert 0.1 < ours < 0.95
    assert ours == pytest.approx(theirs.accepted / theirs.drafted, abs=0.05)


async def test_next_tokens_are_what_greedy_decoding_takes(tmp_path: Path, family: Family) -> None:
    async with serving(tmp_path / "log", family.qwen3_hf) as server:
        ids = tokens((await answer(server, ASK))[0])
        for written in (0, 1, 7):
            likeliest = await server.next_tokens(ASK, ids[:written], 2048)
            assert likeliest is not None
            assert likeliest[0].token == ids[written]
            assert sum(math.exp(t.logprob) for t in likeliest) == pytest.approx(1, abs=1e-3)


async def test_sampling_depends_on_the_seed_alone(tmp_path: Path, family: Family) -> None:
    def ask(seed: int) -> Request:
        return Request(ASK.messages, 24, temperature=1.0, seed=seed, timeout_s=60)

    async with serving(tmp_path / "log", family.qwen3_hf) as server:
        first, other, again = [tokens((await answer(server, ask(s)))[0]) for s in (8, 9, 8)]
    assert first == again != other


async def test_a_cache_of_few_bits_reaches_mlx(tmp_path: Path, family: Family) -> None:
    async with serving(tmp_path / "plain", family.qwen3_hf) as server:
        exact = await server.next_tokens(ASK, (), 5)
    options = {"kv_bits": 2, "kv_group_size": 32, "quantized_kv_start": 0}
    async with serving(tmp_path / "log", family.qwen3_hf, **options) as server:
        assert await server.next_tokens(ASK, tokens((await answer(server, ASK))[0])[:8], 5) != exact


@pytest.mark.parametrize("size", [1, 7, 30, 31])
async def test_a_prompt_read_in_pieces_is_no_draft(
    tmp_path: Path, family: Family, size: int
) -> None:
    speculation = Speculation("draft-model", 3, family.draft_hf)
    log, options = tmp_path / "log", {"prefill_step_size": size}
    async with serving(log, family.qwen3_hf, speculation, **options) as server:
        _, completion = await answer(server, Request(ASK.messages, 30, timeout_s=60))
        review = await server.review()
    assert review.disagreement is None
    assert completion.drafted is not None
    assert completion.steps is not None
    assert 3 * completion.steps - 2 <= completion.drafted <= 3 * completion.steps


@pytest.mark.parametrize("k", [None, 3])
async def test_child_killed_in_a_request(tmp_path: Path, family: Family, k: int | None) -> None:
    speculation = PLAIN_DECODING if k is None else Speculation("draft-model", k, family.draft_hf)
    async with serving(tmp_path / "log", family.qwen3_hf, speculation) as server:
        stream = server.stream(Request(ASK.messages, 4000, timeout_s=60))
        await anext(stream)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            _ = [part async for part in stream]
        assert caught.value.server_lost


async def test_draft_of_another_vocabulary_is_refused(tmp_path: Path, family: Family) -> None:
    other = tmp_path / "other"
    shutil.copytree(family.draft_hf, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, two = [text for text, token in vocabulary.items() if token in (300, 301)]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(StartError, match="draft model has another vocabulary: token 300 is"):
        async with serving(tmp_path / "log", family.qwen3_hf, Speculation("draft-model", 2, other)):
            pass


async def test_damaged_weights_are_told(tmp_path: Path, family: Family) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(family.qwen3_hf, broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(StartError, match=r"status 1: mlx-lm cannot load .*broken"):
        async with serving(tmp_path / "log", broken):
            pass


async def test_reproducing_code_answers_as_the_launch_does(tmp_path: Path, family: Family) -> None:
    prompt = "Name three colours."
    speculation = Speculation("draft-model", 2, family.draft_hf)
    async with serving(tmp_path / "log", family.qwen3_hf, speculation) as server:
        bursts, _ = await answer(server, Request((Message("user", prompt),), 256, timeout_s=60))
    code = runner().reproduce(LaunchSpec(family.qwen3_hf, speculation))
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        "-I",
        "-c",
        code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await asyncio.wait_for(process.communicate(f"{prompt}\n".encode()), 60)
    assert process.returncode == 0
    assert out.decode().removeprefix("prompt: ").strip() == text(bursts).strip()


@pytest.mark.slow
def test_a_sweep_from_the_command_line(tmp_path: Path, family: Family) -> None:
    run = tmp_path / "run"
    flags = f"""--runner mlx --mlx {PYTHON} --model {family.qwen3_hf}
        --draft-model {family.draft_hf} --draft-tokens 2 --workload coding --prompts 2
        --max-tokens 32 --repeats 2 --out {run}"""
    command = [sys.executable, "-m", "harness.cli", "sweep", *flags.split()]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    report = (run / "report.md").read_text()
    assert "draft-model" in report
    assert "mlx-lm 0." in report
