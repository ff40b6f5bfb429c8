"""Probes between runners: the first runner is asked where another one's plain text parts from its.

Sweeps of the mock, of which a second build changes the tokens that reach the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.lossless import Verdict
from harness.analysis.side_by_side import side_by_side
from harness.analysis.summary import summarise
from harness.manifest import make_manifest
from harness.plan import Plan, make_plan
from harness.records import Launch, Sample
from harness.run_folder import RunData, RunFolder, read_run
from harness.suite import make_suite
from harness.sweep import Sweep
from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    LaunchSpec,
    NextToken,
    Request,
    Review,
    Runner,
    Server,
)
from runners.mock import MockRunner
from runners.mock_server import wrong_token

PARTS_AT = 3


@dataclass
class OtherServer:
    """A mock that is up, whose tokens are others from `PARTS_AT` on."""

    server: Server
    longer_prompts: bool

    @property
    def pid(self) -> int:
        return self.server.pid

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        done = 0
        async for part in self.server.stream(request):
            if isinstance(part, Completion):
                more = self.longer_prompts and part.prompt_tokens is not None
                longer = (part.prompt_tokens or 0) + 4 if more else part.prompt_tokens
                yield replace(part, prompt_tokens=longer)
                continue
            assert part.token_ids is not None
            ids = [
                token if at < PARTS_AT else wrong_token(token)
                for at, token in enumerate(part.token_ids, start=done)
            ]
            done += len(ids)
            yield replace(part, token_ids=tuple(ids))

    async def counters(self) -> Counters | None:
        return await self.server.counters()

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        raise AssertionError("the first runner is asked, and never this one")

    async def review(self) -> Review:
        return await self.server.review()

    async def stop(self) -> None:
        await self.server.stop()


@dataclass
class OtherRunner(MockRunner):
    longer_prompts: bool = False

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> Server:
        return OtherServer(await super().start(spec, log, timeout_s), self.longer_prompts)


class Watcher:
    """An observer that counts probes, and may cancel the sweep when they begin."""

    def __init__(self, *, cancels: bool = False) -> None:
        self.probed = 0
        self.launches: list[Launch] = []
        self._cancels = cancels

    def launching(self, batch: object) -> None: ...

    def launched(self, launch: Launch) -> None:
        self.launches.append(launch)

    def measured(self, sample: Sample) -> None: ...

    def probing(self, count: int) -> None:
        self.probed = count
        if self._cancels:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    def judged(self, round_number: int, standing: object) -> None: ...


def runners_of(*, longer_prompts: bool = False) -> dict[str, Runner]:
    return {"mock": MockRunner(), "other": OtherRunner(longer_prompts)}


def plan_of(runners: dict[str, Runner], **changes: Any) -> Plan:
    base = {
        "runner": ["mock", "other"],
        "runners": {"other": {"runner": "mock"}},
        "methods": [],
        "workloads": ["coding"],
        "prompts": 2,
        "max_tokens": 8,
        "repeats": 2,
        "request_timeout_s": 3,
        "start_timeout_s": 10,
        "args": {"step-ms": 0.2, "prefill-ms": 0.2, "margin": 0.03},
    }
    return make_plan(make_suite(base | changes), runners)


async def sweep(
    plan: Plan, runners: dict[str, Runner], path: Path, watcher: Watcher | None = None
) -> RunData:
    manifest = make_manifest(plan, runners, ["test"], lambda _: None, measure=False)
    with RunFolder.create(path, manifest) as folder:
        await Sweep(plan, runners, folder, watcher or Watcher()).run()
    return read_run(path)


async def test_the_first_runner_is_asked_where_another_ones_plain_text_parts(
    tmp_path: Path,
) -> None:
    runners, watcher = runners_of(), Watcher()
    run = await sweep(plan_of(runners), runners, tmp_path / "run", watcher)
    plain, other = run.manifest.arms
    assert other.counterpart == plain.id
    # Two prompts, whose answers are the same in both rounds.
    assert watcher.probed == len(run.probes) == 2
    assert {(probe.arm, probe.prefix) for probe in run.probes} == {(plain.id, PARTS_AT)}
    (group,) = side_by_side(run, summarise(run))
    text = group.others[0].text
    assert text is not None
    assert (text.verdict, text.differing, text.decisive) == (Verdict.NEAR_TIE, 4, PARTS_AT)
    assert text.margin is not None
    assert text.margin.value == pytest.approx(0.03)


async def test_other_prompts_are_not_probed(tmp_path: Path) -> None:
    runners, watcher = runners_of(longer_prompts=True), Watcher()
    run = await sweep(plan_of(runners, repeats=1), runners, tmp_path / "run", watcher)
    assert (watcher.probed, run.probes) == (0, ())
    (group,) = side_by_side(run, summarise(run))
    text = group.others[0].text
    assert text is not None
    assert text.reason == "the prompts differ"


async def test_an_interrupted_run_asks_when_it_is_gone_on_with(tmp_path: Path) -> None:
    runners, path = runners_of(), tmp_path / "run"
    plan = plan_of(runners)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(sweep(plan, runners, path, Watcher(cancels=True)))
    before = read_run(path)
    assert len(before.samples) == plan.samples
    assert before.probes == ()
    for expected in (2, 0):
        watcher = Watcher()
        with RunFolder.resume(path) as folder:
            await Sweep(plan, runners, folder, watcher).run()
        assert watcher.launches == []
        assert watcher.probed == expected
        after = read_run(path)
        assert after.samples == before.samples
        assert len(after.probes) == 2
