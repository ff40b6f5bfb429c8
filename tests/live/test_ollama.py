"""The real Ollama on the tiny trained models, where one is installed.

It comes in no package that Python or a system's package manager installs, so that `make runners`
does not bring it: what it really does is tested on the machines of those who have it.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from runners.base.contract import Found, LaunchSpec, Message, Request, Server
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.ollama.runner import Ollama
from tests.live.answers import answer, text
from tests.models.export import Family

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("ollama") is None, reason="ollama is not on PATH"),
]
ASK = Request(
    (Message("user", "The first thing that a reader of this chapter should know is that the"),),
    64,
    timeout_s=120,
)


@asynccontextmanager
async def serving(
    model: Path, log: Path, speculation: Speculation = PLAIN_DECODING
) -> AsyncIterator[Server]:
    spec = LaunchSpec(model, speculation, (("num_thread", 1), ("num_gpu", 0)), context=1024)
    server = await Ollama().start(spec, log, 120)
    assert server.pid is not None
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    try:
        yield server
    finally:
        await server.stop()
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive


def supports(method: str) -> bool:
    found = Ollama().find()
    assert isinstance(found, Found)
    return any(each.method == method and each.supported for each in found.methods)


async def test_plain_decoding(family: Family, tmp_path: Path) -> None:
    async with serving(family.qwen3, tmp_path / "log") as server:
        bursts, first = await answer(server, ASK)
        again, second = await answer(server, ASK)
    assert text(bursts) == text(again)
    assert sum(burst.tokens for burst in bursts) == first.output_tokens
    assert (first.drafted, first.accepted) == (0, 0)
    assert first.prompt_tokens == second.prompt_tokens
    assert second.cached_tokens in (None, 0)
    assert not (tmp_path / "log.models").exists()


async def test_mtp_is_lossless_and_counted(family: Family, tmp_path: Path) -> None:
    if not supports("mtp"):
        pytest.skip("this Ollama is from before 0.30: it runs without speculation")
    async with serving(family.qwen35_mtp, tmp_path / "plain") as server:
        plain, _ = await answer(server, ASK)
    async with serving(family.qwen35_mtp, tmp_path / "mtp", Speculation("mtp", 2)) as server:
        before = await server.counters()
        bursts, completion = await answer(server, ASK)
        after = await server.counters()
        review = await server.review()
    assert text(bursts) == text(plain)
    assert before is not None
    assert after is not None
    used = after.since(before)
    assert used.drafted
    assert used.accepted + used.steps == completion.output_tokens
    assert review.disagreement is None


async def test_ngrams_reach_its_llama_server(family: Family, tmp_path: Path) -> None:
    """What the runner takes from the sources: the start fails where it does not hold."""
    if not supports("ngram-simple"):
        pytest.skip("this Ollama is from before 0.30: it runs without speculation")
    simple = Speculation("ngram-simple", 48)
    async with serving(family.qwen3, tmp_path / "log", simple) as server:
        await answer(server, ASK)
        assert await server.counters() is not None
