"""The runner with a real llama-server behind the fake `ollama`: drafts that were really made."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, Message, Request, RequestError, StartError
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.llama_cpp.choose import llama_cpp
from runners.ollama.child import ChildClient
from runners.ollama.runner import Ollama
from runners.ollama.server import OllamaServer
from tests.live.answers import answer, text
from tests.live.builds import llama_server, why_absent
from tests.models.export import Family
from tests.runners.ollama.conftest import Install
from tests.runners.ollama.fake_ollama import Faults

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        llama_server() is None, reason=str(why_absent("llama-server") or "no llama-server")
    ),
]
ASK = Request(
    (Message("user", "The first thing that a reader of this chapter should know is that the"),),
    48,
    timeout_s=60,
)
MTP = Speculation("mtp", 2)


def faults(**values: object) -> Faults:
    return replace(Faults(llama_server=str(llama_server())), **values)  # type: ignore[arg-type]


async def start(
    program: str, model: Path, log: Path, speculation: Speculation = PLAIN_DECODING
) -> OllamaServer:
    spec = LaunchSpec(model, speculation, (("num_thread", 1),), context=1024)
    return await Ollama(program).start(spec, log, 60)


async def test_mtp_is_counted_by_the_child(
    install: Install, family: Family, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    log = tmp_path / "log"
    server = await start(install(faults(note=str(note))), family.qwen35_mtp, log, MTP)
    try:
        before = await server.counters()
        bursts, first = await answer(server, ASK)
        after = await server.counters()
        _, again = await answer(server, ASK)
        review = await server.review()
    finally:
        await server.stop()
    assert before is not None
    assert after is not None
    used = after.since(before)
    assert used.drafted is not None
    assert 0 < used.accepted <= used.drafted <= 2 * used.steps
    assert used.accepted + used.steps == first.output_tokens == 48
    assert sum(burst.tokens for burst in bursts) == 48
    assert (review.disagreement, review.draft_limit) == (None, 2)
    # The second time the prompt is read whole again, though Ollama caches all of them.
    assert (first.cached_tokens, again.cached_tokens) == (0, 0)
    assert again.prompt_tokens == first.prompt_tokens
    assert again.prefill_s is not None
    made = [json.loads(line) for line in note.read_text().splitlines()]
    assert made[0]["parameters"] == {"num_ctx": 1024, "num_thread": 1, "draft_num_predict": 2}
    # No copy of the model is left, and the model is.
    assert not log.with_name("log.models").exists()
    assert family.qwen35_mtp.is_file()


async def test_a_child_that_does_not_count_tells_it_in_its_log(
    install: Install, family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start(install(faults()), family.qwen35_mtp, tmp_path / "log", MTP)
    try:
        await answer(server, ASK)
        counted = await server.counters()

        async def nothing(_: ChildClient) -> None:
            return None

        monkeypatch.setattr(ChildClient, "counts", nothing)
        logged = await server.counters()
        review = await server.review()
    finally:
        await server.stop()
    assert counted is not None
    assert counted.drafted
    assert logged == replace(counted, accepted_per_position=None)
    assert review.disagreement is None


async def test_several_requests_at_a_time(install: Install, family: Family, tmp_path: Path) -> None:
    options = (("num_thread", 1), ("OLLAMA_NUM_PARALLEL", 2))
    spec = LaunchSpec(family.qwen3, options=options, context=512)
    server = await Ollama(install(faults())).start(spec, tmp_path / "log", 60)
    try:
        alone, _ = await answer(server, ASK)
        both = await asyncio.gather(answer(server, ASK), answer(server, ASK))
    finally:
        await server.stop()
    for bursts, completion in both:
        assert completion.output_tokens == 48
        assert completion.cached_tokens is not None
        assert text(bursts) == text(alone)


async def test_plain_decoding_is_what_llama_cpp_makes(
    install: Install, family: Family, tmp_path: Path
) -> None:
    server = await start(install(faults()), family.qwen35_mtp, tmp_path / "log")
    try:
        bursts, completion = await answer(server, ASK)
        counters = await server.counters()
        likeliest = await server.next_tokens(ASK, (), 3)
    finally:
        await server.stop()
    reference = await llama_cpp(str(llama_server())).start(
        LaunchSpec(family.qwen35_mtp, options=(("threads", 1),), context=1024),
        tmp_path / "reference",
        60,
    )
    try:
        wanted, said = await answer(reference, ASK)
        nearest = await reference.next_tokens(ASK, (), 3)
    finally:
        await reference.stop()
    assert text(bursts) == text(wanted)
    assert completion.prompt_tokens == said.prompt_tokens
    assert (completion.drafted, completion.steps, counters) == (0, 48, None)
    assert likeliest == nearest
    assert likeliest is not None


async def test_ngrams_reach_the_child_by_the_environment(
    install: Install, family: Family, tmp_path: Path
) -> None:
    simple = Speculation("ngram-simple", 48)
    server = await start(install(faults()), family.qwen3, tmp_path / "log", simple)
    try:
        _, completion = await answer(server, ASK)
        counters = await server.counters()
    finally:
        await server.stop()
    assert completion.output_tokens == 48
    assert counters is not None
    assert counters.drafted is not None


async def test_heads_that_ollama_does_not_find_are_told(
    install: Install, family: Family, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=r"serves without speculation: .*no MTP heads"):
        await start(install(faults(refuses_heads=True)), family.qwen35_mtp, tmp_path / "log", MTP)


async def test_prompts_that_ollama_writes(install: Install, family: Family, tmp_path: Path) -> None:
    note = tmp_path / "note"
    program = install(faults(renders=True, note=str(note), tells_cached=False))
    server = await start(program, family.qwen3, tmp_path / "log")
    try:
        _, completion = await answer(server, ASK)
        review = await server.review()
        assert await server.next_tokens(ASK, (), 3) is None
    finally:
        await server.stop()
    assert json.loads(note.read_text().splitlines()[-1])["what"] == "chat"
    assert (completion.cached_tokens, completion.prefill_s) == (None, None)
    assert "Ollama's template" in str(review.remark)


async def test_a_child_that_dies_ends_the_launch(
    install: Install, family: Family, tmp_path: Path
) -> None:
    program = install(faults(child_dies_after=3))
    server = await start(program, family.qwen3, tmp_path / "log")
    try:
        with pytest.raises(RequestError, match="the model's process has died") as failure:
            await answer(server, ASK)
    finally:
        await server.stop()
    assert failure.value.server_lost
