"""The real vLLM on the tiny trained models, in the environment that `make runners` makes.

A launch takes it half a minute, so a launch answers for several tests here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from runners.base import listening
from runners.base.contract import (
    Completion,
    Counters,
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    Review,
    Server,
    StartError,
)
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.vllm.runner import Vllm
from tests.live.answers import answer, tokens
from tests.live.not_built import environment_of, why_not
from tests.models.export import Family

PYTHON = environment_of("vllm")
pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason=why_not("vllm")),
]

START_S = 300
OPTIONS: dict[str, OptionValue] = {
    # The other runners' arithmetic, so that the greedy tokens are theirs.
    "dtype": "float32",
    "enforce-eager": True,
}
PROMPTS = (
    "def read_lines(path):\n    with open(path) as file:\n        return [line for line in",
    "The first thing that a reader of this chapter should know is that the",
    "class Shelf:\n    def __init__(self, read):\n        self.read = read\n\n    def file(self",
)
ASKS = tuple(Request((Message("user", text),), 96, timeout_s=120) for text in PROMPTS)
ASK = ASKS[0]


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM binds itself to the first core, where another test may be at work."""
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def fewer_processes(monkeypatch: pytest.MonkeyPatch) -> dict[str, OptionValue]:
    """Options with which the engine is its own worker: a process less that imports PyTorch."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return {"distributed-executor-backend": "uni"}


def runner() -> Vllm:
    return Vllm(str(Path(str(PYTHON)).with_name("vllm")))


@contextlib.asynccontextmanager
async def serving(
    log: Path, model: Path, speculation: Speculation = PLAIN_DECODING, **options: OptionValue
) -> AsyncIterator[Server]:
    spec = LaunchSpec(model, speculation, tuple((OPTIONS | options).items()), context=1024)
    server = await runner().start(spec, log, START_S)
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    try:
        yield server
    finally:
        await server.stop()
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive


@dataclass(frozen=True)
class Answered:
    """What one launch made of all prompts."""

    tokens: tuple[tuple[int, ...], ...]
    completions: tuple[Completion, ...]
    bursts: tuple[int, ...]
    counters: Counters | None
    review: Review


async def answers(server: Server) -> Answered:
    before = await server.counters()
    told = [await answer(server, ask) for ask in ASKS]
    after = await server.counters()
    return Answered(
        tuple(tuple(tokens(bursts)) for bursts, _ in told),
        tuple(completion for _, completion in told),
        tuple(len(bursts) for bursts, _ in told),
        None if before is None or after is None else after.since(before),
        await server.review(),
    )


@pytest.fixture(scope="module")
def plain_tokens() -> dict[str, tuple[tuple[int, ...], ...]]:
    """What plain decoding wrote, left here by the test that measures it."""
    return {}


def test_it_is_found_with_version_and_methods() -> None:
    found = runner().find()
    assert isinstance(found, Found)
    assert found.version.startswith("0.")
    assert found.devices == ()
    supports = {support.method: support for support in found.methods}
    drafting = {"draft-model", "mtp", "eagle", "eagle3", "medusa", "ngram"}
    assert {name for name, support in supports.items() if support.supported} >= drafting
    assert "arctic-inference" in supports["suffix"].note
    # The Python alone says the same of the same vLLM.
    other = Vllm(PYTHON).find()
    assert isinstance(other, Found)
    assert other.version == found.version


async def test_plain_decoding(
    tmp_path: Path, family: Family, plain_tokens: dict[str, tuple[tuple[int, ...], ...]]
) -> None:
    async with serving(tmp_path / "log", family.qwen3_hf) as server:
        said = await answers(server)
        plain_tokens["qwen3"] = said.tokens
        assert (await answers(server)).tokens == said.tokens
        for written in (0, 1, 7):
            likeliest = await server.next_tokens(ASK, said.tokens[0][:written], 5)
            assert likeliest is not None
            assert likeliest[0].token == said.tokens[0][written]
            assert [t.logprob for t in likeliest] == sorted(
                (t.logprob for t in likeliest), reverse=True
            )
        sampled = [
            tokens((await answer(server, Request(ASK.messages, 24, 1.0, seed, 60)))[0])
            for seed in (8, 9, 8)
        ]
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match="was killed by SIGKILL") as caught:
            await answer(server, ASK)
        assert caught.value.server_lost
    assert sampled[0] == sampled[2] != sampled[1]
    for completion, bursts in zip(said.completions, said.bursts, strict=True):
        assert completion.output_tokens == completion.steps == 96
        # One chunk a step, but for those that a busy machine had vLLM join.
        assert 48 < bursts <= 96
        assert (completion.drafted, completion.accepted, completion.cached_tokens) == (0, 0, 0)
        assert completion.finish_reason == "length"
        assert completion.prefill_s is not None
        assert completion.decode_s is not None


@pytest.mark.parametrize("method", ["eagle", "eagle3", "medusa", "ngram"])
async def test_drafts_add_up_and_leave_the_text_as_it_is(
    tmp_path: Path,
    family: Family,
    method: str,
    plain_tokens: dict[str, tuple[tuple[int, ...], ...]],
    fewer_processes: dict[str, OptionValue],
) -> None:
    if "qwen3" not in plain_tokens:
        async with serving(tmp_path / "plain", family.qwen3_hf) as server:
            plain_tokens["qwen3"] = (await answers(server)).tokens
    k = 3
    drafts = {"eagle": family.eagle_hf, "eagle3": family.eagle3_hf, "medusa": family.medusa_hf}
    lookup: dict[str, OptionValue] = {"prompt_lookup_min": 2, "prompt_lookup_max": 4}
    speculation = Speculation(method, k, drafts.get(method))
    options = fewer_processes | (lookup if method == "ngram" else {})
    async with serving(tmp_path / "log", family.qwen3_hf, speculation, **options) as server:
        said = await answers(server)
    assert said.tokens == plain_tokens["qwen3"]
    counters = said.counters
    assert counters is not None
    assert counters.drafted == sum(c.drafted or 0 for c in said.completions)
    assert counters.accepted == sum(c.accepted or 0 for c in said.completions)
    assert said.review.disagreement is None
    assert said.review.draft_limit == k
    assert sum(counters.accepted_per_position) == counters.accepted
    assert list(counters.accepted_per_position) == sorted(
        counters.accepted_per_position, reverse=True
    )
    # Untrained, one token in 2048 would be right.
    assert 0.05 < counters.accepted / counters.drafted < 0.95
    for completion, bursts in zip(said.completions, said.bursts, strict=True):
        assert completion.steps is not None
        assert completion.accepted is not None
        assert completion.output_tokens == 96
        assert 0 <= completion.steps + completion.accepted - 96 <= k
        assert bursts <= completion.steps


async def test_a_head_that_dies_at_its_first_request(
    tmp_path: Path, family: Family, fewer_processes: dict[str, OptionValue]
) -> None:
    # With 2 draft tokens a step's three hidden states would pass for one of three layers.
    speculation = Speculation("eagle3", 3, family.eagle3_shallow)
    with pytest.raises(StartError, match=r"a probe request: its engine died: .*invalid for input"):
        async with serving(tmp_path / "log", family.qwen3_hf, speculation, **fewer_processes):
            pass


async def test_a_model_without_heads(tmp_path: Path, family: Family) -> None:
    with pytest.raises(StartError, match="exited with status 1: vLLM finds no MTP heads"):
        async with serving(tmp_path / "log", family.qwen3_hf, Speculation("mtp", 2)):
            pass


async def test_ports_that_are_taken(
    tmp_path: Path, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PORTS_TRIED", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(listening, "free_port", lambda: other.getsockname()[1])
        with pytest.raises(StartError, match="free ports in a row were taken by others"):
            async with serving(tmp_path / "log", family.qwen3_hf):
                pass


KILLED = """
    import asyncio, sys
    from pathlib import Path
    from runners.base.contract import LaunchSpec
    from runners.vllm.runner import Vllm

    async def main():
        options = (("dtype", "float32"), ("enforce-eager", True))
        spec = LaunchSpec(Path(sys.argv[2]), options=options, context=1024)
        server = await Vllm(sys.argv[1]).start(spec, Path(sys.argv[3]), 300)
        print(server.pid, flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
"""


def shared_memory(family: list[psutil.Process]) -> set[Path]:
    """Files of shared memory that the processes have mapped (Linux)."""
    found: set[Path] = set()
    for process in family:
        with contextlib.suppress(psutil.Error, AttributeError):
            maps = (Path(each.path) for each in process.memory_maps())
            found |= {path for path in maps if path.parts[:3] == ("/", "dev", "shm")}
    return {path for path in found if path.exists()}


@pytest.fixture
def harness(tmp_path: Path, family: Family) -> Iterator[subprocess.Popen[str]]:
    """A process that has started vLLM and waits."""
    arguments = [str(Path(str(PYTHON)).with_name("vllm")), str(family.qwen3_hf)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), *arguments, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_nothing_outlives_a_killed_harness(harness: subprocess.Popen[str]) -> None:
    assert harness.stdout is not None
    server = psutil.Process(int(harness.stdout.readline()))
    family = [server, *server.children(recursive=True)]
    # The front end, the engine and its worker at least.
    assert len(family) >= 3
    memory = shared_memory(family)
    assert memory or sys.platform != "linux"
    harness.kill()
    _, alive = psutil.wait_procs(family, timeout=40)
    assert not alive
    deadline = time.monotonic() + 5
    while (left := {path for path in memory if path.exists()}) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
