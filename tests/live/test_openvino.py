"""The real OpenVINO GenAI on the tiny trained models."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.analysis.lossless import NEAR_TIE
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
from runners.llama_cpp.choose import llama_cpp
from runners.openvino.runner import OpenVino
from tests.live.answers import answer, text, tokens
from tests.live.half_precision import write_half
from tests.live.not_built import why_not
from tests.models.export import Family

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("openvino_genai") is None, reason=why_not("openvino-genai")
    ),
]

PROMPTS = (
    "def read_lines(path):\n    with open(path) as file:\n        return [line for line in",
    "The first thing that a reader of this chapter should know is that the",
)
ASKS = tuple(Request((Message("user", text),), 128, timeout_s=120) for text in PROMPTS)
ASK = ASKS[0]
NEWLINE = 201
"""The tiny models' token of it: they never end a text by themselves."""
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}


@dataclass(frozen=True)
class Halves:
    target: Path
    draft: Path
    other_vocabulary: Path
    target_of_lines: Path
    """The target, and its draft, that end a text where a line ends."""
    draft_of_lines: Path


@pytest.fixture(scope="module")
def halves(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Halves:
    folder = tmp_path_factory.mktemp("halves")
    return Halves(
        write_half(family.qwen3, folder / "target.gguf"),
        write_half(family.draft, folder / "draft.gguf"),
        write_half(family.other_vocabulary, folder / "other.gguf"),
        write_half(family.qwen3, folder / "target-of-lines.gguf", end=NEWLINE),
        write_half(family.draft, folder / "draft-of-lines.gguf", end=NEWLINE),
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where exported draft models go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decodebench" / "openvino-models"


def spec_of(
    model: Path, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> LaunchSpec:
    return LaunchSpec(model, speculation, tuple({"threads": 1, **EXACT, **options}.items()))


@contextlib.asynccontextmanager
async def serving(
    log: Path, model: Path, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> AsyncIterator[Server]:
    server = await OpenVino().start(spec_of(model, speculation, **options), log, 120)
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def llamas(
    log: Path, model: Path, speculation: Speculation = PLAIN_DECODING
) -> AsyncIterator[Server]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    server = await llama_cpp().start(LaunchSpec(model, speculation, (("threads", 1),)), log, 60)
    try:
        yield server
    finally:
        await server.stop()


def inside(folder: Path) -> set[Path]:
    return set(folder.iterdir())


async def answers_of(server: Server) -> list[list[int]]:
    return [tokens((await answer(server, ask))[0]) for ask in ASKS]


@pytest.fixture(scope="module")
def plain(halves: Halves, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """The plain answers to all prompts."""

    async def ask() -> list[list[int]]:
        async with serving(tmp_path_factory.mktemp("plain") / "log", halves.target) as server:
            return await answers_of(server)

    return asyncio.run(ask())


async def counted(server: Server) -> tuple[list[list[int]], Counters]:
    """The answers to all prompts, and what speculation they took."""
    before = await server.counters()
    answers = await answers_of(server)
    after = await server.counters()
    assert before is not None
    assert after is not None
    return answers, after.since(before)


def test_it_is_found_with_version_and_device() -> None:
    found = OpenVino().find()
    assert isinstance(found, Found)
    assert found.version.startswith("2026.")
    assert any("CPU" in device and "KV cache" in device for device in found.devices)
    supported = {support.method for support in found.methods if support.supported}
    assert supported == {"none", "draft-model", "ngram"}


async def test_plain_tokens_are_llama_cpps_up_to_near_ties(
    tmp_path: Path, halves: Halves, plain: list[list[int]], cache: Path
) -> None:
    async with serving(tmp_path / "log", halves.target) as server:
        own = [await answer(server, ask) for ask in ASKS]
        review = await server.review()
        process = psutil.Process(server.pid)
        for written in (0, 1, 7):
            top = await server.next_tokens(ASK, plain[0][:written], 2048)
            assert top is not None
            assert top[0].token == plain[0][written]
            assert sum(math.exp(token.logprob) for token in top) == pytest.approx(1, abs=1e-3)
        found = await server.next_tokens(ASK, plain[0][:7], 10)
    assert not inside(cache)
    assert not process.is_running()
    assert review.disagreement is None
    assert [tokens(bursts) for bursts, _ in own] == plain
    same = 0
    async with llamas(tmp_path / "other", halves.target) as server:
        expected = await server.next_tokens(ASK, plain[0][:7], 10)
        assert found is not None
        assert expected is not None
        logprobs = {token.token: token.logprob for token in expected}
        assert [logprobs.get(token.token) for token in found[:5]] == pytest.approx(
            [token.logprob for token in found[:5]], abs=0.02
        )
        for ask, (bursts, here) in zip(ASKS, own, strict=True):
            theirs, there = await answer(server, ask)
            assert here.prompt_tokens == there.prompt_tokens
            assert here.output_tokens == here.steps == len(bursts) == 128
            assert (here.drafted, here.accepted, here.cached_tokens) == (0, 0, 0)
            assert here.finish_reason == "length"
            ids, others = tokens(bursts), tokens(theirs)
            if ids == others:
                same += 1
                assert text(bursts) == text(theirs)
                continue
            pairs = enumerate(zip(ids, others, strict=True))
            at = next(place for place, (one, other) in pairs if one != other)
            top = await server.next_tokens(ask, others[:at], 10)
            assert top is not None
            logprobs = {token.token: token.logprob for token in top}
            assert abs(logprobs[ids[at]] - logprobs[others[at]]) < NEAR_TIE
    assert same


async def test_drafts_add_up_and_are_accepted_as_in_llama_cpp(
    tmp_path: Path, halves: Halves, plain: list[list[int]], cache: Path
) -> None:
    k = 3
    speculation = Speculation("draft-model", k, halves.draft)
    async with serving(tmp_path / "log", halves.target, speculation) as server:
        answers, count = await counted(server)
        bursts, completion = await answer(server, ASK)
        with pytest.raises(RequestError, match="cannot sample with a draft model") as caught:
            await answer(server, Request(ASK.messages, 8, temperature=1.0, timeout_s=60))
        assert not caught.value.server_lost
        # A client that goes away leaves nothing behind.
        stream = server.stream(ASK)
        await anext(stream)
        await stream.aclose()
        assert tokens((await answer(server, ASK))[0]) == plain[0]
        review = await server.review()
    # A batch of several tokens rounds otherwise than one, so near-ties may turn over: not here.
    assert answers == plain
    assert review.disagreement is None
    assert review.draft_limit == k
    assert count.drafted is not None
    assert sum(count.accepted_per_position) == count.accepted
    assert len(count.accepted_per_position) <= k
    assert count.steps + count.accepted == sum(map(len, answers))
    assert count.accepted <= count.drafted <= count.steps * k
    assert completion.steps == len(bursts)
    assert max(burst.tokens for burst in bursts) <= k + 1
    # The draft model was exported once, and nothing else is left.
    assert len(inside(cache)) == 1
    assert inside(halves.draft.parent) == set(vars(halves).values())
    async with llamas(
        tmp_path / "other", halves.target, Speculation("draft-model", k, halves.draft)
    ) as server:
        _, theirs = await counted(server)
    assert theirs.drafted
    ours = count.accepted / count.drafted
    assert 0.1 < ours < 0.95
    assert ours == pytest.approx(theirs.accepted / theirs.drafted, abs=0.05)


async def test_answer_that_ends_inside_a_draft_and_the_code_that_gives_it(
    tmp_path: Path, halves: Halves
) -> None:
    async with serving(tmp_path / "plain", halves.target_of_lines) as server:
        plain = [await answer(server, ask) for ask in ASKS]
    speculation = Speculation("draft-model", 4, halves.draft_of_lines)
    async with serving(tmp_path / "log", halves.target_of_lines, speculation) as server:
        drafted = [await answer(server, ask) for ask in ASKS]
        review = await server.review()
    assert review.disagreement is None
    for (bursts, completion), (one_by_one, reference) in zip(drafted, plain, strict=True):
        assert tokens(bursts) == tokens(one_by_one)
        assert tokens(bursts)[-1] == NEWLINE
        assert completion.finish_reason == reference.finish_reason == "stop"
        assert completion.drafted is not None
        assert completion.accepted is not None
        # What the last step drafted is not told, so what it accepted is not counted either.
        assert completion.accepted == sum(burst.tokens - 1 for burst in bursts[:-1])
        assert completion.accepted <= completion.drafted <= 4 * len(bursts)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OpenVino().reproduce(spec_of(halves.target_of_lines, speculation)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await asyncio.wait_for(process.communicate(f"{PROMPTS[1]}\n".encode()), 60)
    assert process.returncode == 0
    assert out.decode().removeprefix("prompt: ").strip() == text(drafted[1][0]).strip() != ""


async def test_lookup_leaves_the_text_as_it_is(
    tmp_path: Path, halves: Halves, plain: list[list[int]]
) -> None:
    speculation = Speculation("ngram", 4)
    async with serving(tmp_path / "log", halves.target, speculation, max_ngram_size=2) as server:
        bursts, completion = await answer(server, ASK)
        counters = await server.counters()
        review = await server.review()
        first, other, again = [
            tokens((await answer(server, Request(ASK.messages, 24, 1.0, seed, 60)))[0])
            for seed in (8, 9, 8)
        ]
    assert tokens(bursts) == plain[0]
    assert completion.steps == len(bursts) < len(plain[0])
    assert completion.accepted == len(plain[0]) - len(bursts) > 0
    assert completion.drafted is None
    assert counters is not None
    assert counters.drafted is None
    assert max(burst.tokens for burst in bursts) <= 5
    assert review.disagreement is None
    assert first == again != other


async def test_what_cannot_be_loaded_says_why(
    tmp_path: Path, family: Family, halves: Halves
) -> None:
    other = Speculation("draft-model", 2, halves.other_vocabulary)
    single = Speculation("draft-model", 2, family.draft)
    for spec, words in (
        (
            spec_of(family.qwen35_mtp),
            r"qwen35-mtp\.gguf, whose architecture is qwen35 .*, whose weights are F32 \(it reads",
        ),
        (spec_of(tmp_path / "none.gguf"), r"cannot load .*none\.gguf"),
        (spec_of(halves.target, single), r"cannot export .*draft\.gguf, whose weights are F32"),
        (spec_of(halves.target, other), "draft model has another vocabulary: token 3 is"),
        (spec_of(halves.target, INFERENCE_PRECISION_HINT="f99"), "f99"),
    ):
        with pytest.raises(StartError, match=words):
            await OpenVino().start(spec, tmp_path / "log", 60)
    assert not psutil.Process().children(recursive=True)


async def test_child_killed_in_a_request(tmp_path: Path, halves: Halves) -> None:
    async with serving(tmp_path / "log", halves.target) as server:
        stream = server.stream(Request(ASK.messages, 4000, timeout_s=60))
        await anext(stream)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            _ = [part async for part in stream]
        assert caught.value.server_lost
