"""The runner with MTPLX, before a program that was written from the source of mtplx 2.12.2.

No mtplx was run for these tests: it needs Apple silicon. The lines of `GATE`, `DEPTH` and
`MISSING` are what its command line, which begins on other machines too, really printed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from runners.base.contract import (
    Burst,
    Completion,
    Found,
    LaunchSpec,
    Message,
    Missing,
    Request,
    RequestError,
    StartError,
    UsageError,
)
from runners.base.packaging import Packaging
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.base.support import Need
from runners.mlx import mtplx_program
from runners.mlx.choose import mlx
from runners.mlx.mtplx import Mtplx
from runners.mlx.mtplx_server import MtplxServer
from runners.mlx.runner import Mlx

FAKE = Path(__file__).with_name("fake_mtplx.py")
PROMPT = 'case "$2" in */prompt.py) echo "[1, 2, 3]";; *) exit 1;; esac'
REQUEST = Request((Message("user", "count"),), max_tokens=8, seed=3, timeout_s=20)
MTP = Speculation("mtp", 2)

GATE = [
    "╭─ MTPLX 2.12.2 ─────────╮",
    "error: model cannot run with MTPLX",
    "model: /models/q",
    "tier: architecture-compatible-but-unverified",
    "runtime: missing-model-weights",
    "reason: Qwen3-Next architecture detected, but this folder contains no model weights.",
    "mtp: exists=false, tensors=0, gate=false",
    "try: add --unsafe-force-unverified --yes to run without support guarantees",
]
DEPTH = [
    "error: --depth must be between 1 and 3 for the selected MTPLX runtime",
    "hint: omit --depth to use the model contract default",
]
MISSING = [
    "error: model is not available locally",
    "model: /models/nope",
    "detail: Model path is not available locally: /models/nope",
    "try: mtplx pull /models/nope",
]
HEADLESS = (
    "mtp_heads not found -> mtp_off: serving autoregressive (no speculative decode acceleration; "
    "build an MTP artifact with Forge for full speed)."
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(mtplx_program, "is_apple_silicon", lambda: True)
    path = tmp_path / "bin" / "mtplx"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    # The Python of its environment, which has a tokenizer that makes a word a token.
    python = path.with_name("python3")
    python.write_text(f"#!/bin/sh\n{PROMPT}\n")
    python.chmod(0o755)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return model


def fault(folder: Path, **faults: object) -> None:
    (folder / "fake.json").write_text(json.dumps(faults))


def asked(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]


async def started(
    program: str, folder: Path, speculation: Speculation = MTP, **options: str
) -> MtplxServer:
    spec = LaunchSpec(folder, speculation, tuple(options.items()), context=2048)
    return await Mtplx(program).start(spec, folder / "log", timeout_s=30)


async def ask(server: MtplxServer, request: Request = REQUEST) -> tuple[list[Burst], Completion]:
    parts = [part async for part in server.stream(request)]
    completion = parts.pop()
    assert isinstance(completion, Completion)
    return [part for part in parts if isinstance(part, Burst)], completion


def test_chosen_by_the_programs_name() -> None:
    assert isinstance(mlx("/environments/mtplx/bin/mtplx"), Mtplx)
    assert isinstance(mlx("mtplx"), Mtplx)
    assert isinstance(mlx("/environments/mtplx/bin/python"), Mlx)
    assert isinstance(mlx(), Mlx)


def test_what_is_found(program: str) -> None:
    runner = Mtplx(program)
    found = runner.find()
    assert isinstance(found, Found)
    assert found.version == "mtplx 2.12.2"
    assert found.where == program
    methods = {support.method: support for support in found.methods}
    assert {name for name, support in methods.items() if support.supported} == {"none", "mtp"}
    assert methods["mtp"].needs == (Need.MTP_HEADS,)
    assert methods["eagle3"].note == "not supported by mtplx 2.12.2"
    assert runner.packagings == (Packaging.MLX, Packaging.HF)


def test_what_is_not(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = Mtplx(str(tmp_path / "mtplx")).find()
    assert isinstance(missing, Missing)
    assert "is no program that can be run" in missing.reason
    assert "--mlx mtplx/bin/mtplx" in missing.advice
    broken = tmp_path / "mtplx"
    broken.write_text("#!/bin/sh\necho ModuleNotFoundError: No module named mtplx >&2; exit 1\n")
    broken.chmod(0o755)
    failed = Mtplx(str(broken)).find()
    assert isinstance(failed, Missing)
    assert "exited with status 1: ModuleNotFoundError: No module named mtplx" in failed.reason
    broken.write_text("#!/bin/sh\necho mtplx 9\n")
    mtplx_program._ask.cache_clear()
    alone = Mtplx(str(broken)).find()
    assert isinstance(alone, Missing)
    assert "lies beside no python3" in alone.reason
    monkeypatch.setattr(mtplx_program, "is_apple_silicon", lambda: False)
    other = Mtplx(program).find()
    assert isinstance(other, Missing)
    assert "mtplx runs on Apple silicon only, and this is" in other.reason
    with pytest.raises(UsageError, match="Apple silicon only"):
        Mtplx(program).check(LaunchSpec(None))


async def test_plain_decoding(program: str, folder: Path) -> None:
    server = await started(program, folder, PLAIN_DECODING)
    try:
        bursts, completion = await ask(server)
        assert [burst.tokens for burst in bursts] == [1] * 8
        assert all(burst.token_ids is None for burst in bursts)
        assert "".join(burst.text for burst in bursts) == (
            "One two three, four and five are numbers."
        )
        assert (completion.drafted, completion.accepted, completion.steps) == (0, 0, 8)
        assert (completion.output_tokens, completion.prompt_tokens) == (8, 12)
        assert (completion.cached_tokens, completion.finish_reason) == (0, "length")
        assert (completion.prefill_s, completion.decode_s) == (0.02, 0.1)
        assert await server.counters() is None
        assert await server.next_tokens(REQUEST, (), 5) is None
    finally:
        await server.stop()
    launch, *requests = asked(folder)
    words = launch["arguments"]
    assert words[words.index("--generation-mode") + 1] == "ar"
    assert "--depth" not in words
    assert requests[-1]["controls"] == "1"
    assert requests[-1]["request"]["prompt"] == [1, 2, 3]
    sent = requests[-1]["request"]
    assert (sent["temperature"], sent["top_k"], sent["seed"]) == (0.0, 0, 3)


async def test_mtp(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPLX_API_KEY", "secret")
    monkeypatch.setenv("MTPLX_CONTEXT_COPY", "1")
    server = await started(program, folder, MTP, profile="exact")
    try:
        before = await server.counters()
        bursts, completion = await ask(server)
        after = await server.counters()
        review = await server.review()
    finally:
        await server.stop()
    # Two of two accepted and one more, none and one, two and one: one of the prefill's before.
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens == 8
    assert bursts[0].tokens == 1
    assert (completion.drafted, completion.accepted, completion.steps) == (8, 4, 5)
    assert before is not None
    assert after is not None
    cost = after.since(before)
    assert (cost.drafted, cost.accepted, cost.accepted_per_position) == (8, 4, (2, 2))
    assert review.disagreement is None
    assert review.draft_limit == 2
    launch = asked(folder)[0]
    words = launch["arguments"]
    assert words[:3] == ["serve", "--model", str(folder)]
    assert words[words.index("--generation-mode") :][:4] == [
        "--generation-mode",
        "mtp",
        "--depth",
        "2",
    ]
    for flag, value in (
        ("--context-window", "2048"),
        ("--adaptive-policy", "none"),
        ("--ssd-session-cache", "off"),
        ("--profile", "exact"),
        ("--host", "127.0.0.1"),
    ):
        assert words[words.index(flag) + 1] == value
    assert launch["environment"]["MTPLX_CONTEXT_COPY"] == "0"
    assert launch["environment"]["MTPLX_CONFIG"] == os.devnull
    assert "MTPLX_API_KEY" not in launch["environment"]


async def test_the_token_that_ends_the_text(program: str, folder: Path) -> None:
    server = await started(program, folder, PLAIN_DECODING)
    try:
        bursts, completion = await ask(server, Request(REQUEST.messages, max_tokens=20))
    finally:
        await server.stop()
    assert completion.finish_reason == "stop"
    assert [burst.tokens for burst in bursts] == [1] * 9
    assert bursts[-1].text == ""
    assert bursts[-1].at >= bursts[-2].at


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (GATE, "exited with status 1: model cannot run with MTPLX: Qwen3-Next architecture"),
        (DEPTH, "status 1: --depth must be between 1 and 3 for the selected MTPLX runtime"),
        (MISSING, "not available locally: Model path is not available locally: /models/nope"),
        (["mtplx serve: error: unrecognized arguments: --x"], "1: unrecognized arguments: --x"),
        (
            ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'mlx'"],
            "status 1: ModuleNotFoundError: No module named 'mlx'",
        ),
        (["?"], "its log tells no reason"),
    ],
)
async def test_it_ends_at_start(program: str, folder: Path, lines: list[str], words: str) -> None:
    fault(folder, start=lines)
    with pytest.raises(StartError, match=words):
        await started(program, folder)
    assert len(asked(folder)) == 1


async def test_a_port_that_is_taken_is_not_the_end(program: str, folder: Path) -> None:
    fault(folder, start=["error: port 8000 is already in use", "try: mtplx status"], status=2)
    with pytest.raises(StartError, match="3 free ports in a row were taken"):
        await started(program, folder)
    assert len(asked(folder)) == 3


async def test_it_ends_at_the_first_request(program: str, folder: Path) -> None:
    fault(folder, request="die")
    with pytest.raises(StartError, match="probe request: the runner was killed by SIGABRT"):
        await started(program, folder)


async def test_an_error_in_the_stream(program: str, folder: Path) -> None:
    fault(folder, request="error")
    with pytest.raises(StartError, match="answered with an error: not enough memory"):
        await started(program, folder)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'TemplateError: no user turn' >&2; exit 1", "made: TemplateError: no user turn"),
        ("echo '[]'", "the prompt is empty"),
        ("echo ids", "the prompt cannot be made: JSONDecodeError"),
    ],
)
async def test_a_prompt_that_cannot_be_made(
    program: str, folder: Path, script: str, words: str
) -> None:
    Path(program).with_name("python3").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(StartError, match=f"did not answer a probe request: .*{words}"):
        await started(program, folder)


async def test_a_model_without_heads_is_told(program: str, folder: Path) -> None:
    fault(folder, mode="ar", says=[HEADLESS])
    with pytest.raises(StartError, match=r"asked for mtp, but .* 'ar': mtp_heads not found -> mtp"):
        await started(program, folder)


async def test_another_depth_is_told(program: str, folder: Path) -> None:
    fault(folder, depth=1)
    with pytest.raises(StartError, match=r"asked for drafts of 2 tokens, but mtplx makes .* of 1"):
        await started(program, folder)


async def test_no_draft_is_told(program: str, folder: Path) -> None:
    fault(folder, stats={"drafted_tokens": 0, "accepted_drafts": 0, "accepted_by_depth": []})
    with pytest.raises(StartError, match="it drafted nothing in the probe request"):
        await started(program, folder)


async def test_another_server_is_not_measured(
    program: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.mlx.mtplx.environment", lambda launch: dict(os.environ))
    with pytest.raises(StartError, match="3 free ports in a row"):
        await started(program, folder)


async def test_nothing_is_left_of_it(program: str, folder: Path) -> None:
    fault(folder, child=True)
    server = await started(program, folder)
    launch, child, *_ = asked(folder)
    processes = [psutil.Process(pid) for pid in (server.pid, launch["pid"], child["child"])]
    await server.stop()
    await server.stop()
    _, left = psutil.wait_procs(processes, timeout=10)
    assert not left


async def test_a_lost_server_in_a_request(program: str, folder: Path) -> None:
    server = await started(program, folder)
    try:
        psutil.Process(server.pid).kill()
        with pytest.raises(RequestError) as lost:
            await ask(server)
        assert lost.value.server_lost
    finally:
        await server.stop()


def test_the_command_to_paste(program: str, folder: Path) -> None:
    command = Mtplx(program).reproduce(LaunchSpec(folder, MTP))
    assert "MTPLX_CONTEXT_COPY=0 MTPLX_STREAM_PACER=0 " in command
    assert f"{program} serve --model {folder} --generation-mode mtp --depth 2 " in command
