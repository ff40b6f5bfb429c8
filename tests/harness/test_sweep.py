"""Sweeps of the mock: what fails becomes a row, the rest goes on, and resuming leaves no gap."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.precision import Exactness
from harness.analysis.summary import summarise
from harness.goal import Standing
from harness.manifest import make_manifest
from harness.plan import Batch, Plan, make_plan
from harness.records import Launch, Sample
from harness.run_folder import RunData, RunFolder, read_run
from harness.suite import make_suite
from harness.sweep import Sweep
from runners.base.contract import Review
from runners.mock import MockServer
from runners.registry import RUNNERS

FAST = {"step-ms": 0.2, "prefill-ms": 0.2}


class Recorder:
    """An observer that remembers, and may act on what it sees."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.samples: list[Sample] = []
        self.pids: set[int] = set()
        self.standings: dict[int, Standing] = {}

    def launching(self, batch: Batch) -> None:
        self.last = batch

    def launched(self, launch: Launch) -> None:
        self.launches.append(launch)

    def measured(self, sample: Sample) -> None:
        self.samples.append(sample)

    def probing(self, count: int) -> None:
        self.probed = count

    def judged(self, round_number: int, standing: Standing) -> None:
        self.standings[round_number] = standing


def plan_of(**changes: Any) -> Plan:
    args = FAST | changes.pop("args", {})
    base = {
        "runner": "mock",
        "methods": ["ngram-mod"],
        "draft_tokens": [2],
        "workloads": ["coding"],
        "prompts": 3,
        "max_tokens": 8,
        "repeats": 2,
        "request_timeout_s": 3,
        "start_timeout_s": 10,
    }
    return make_plan(make_suite(base | {"args": args} | changes), RUNNERS)


def new_folder(plan: Plan, path: Path) -> RunFolder:
    return RunFolder.create(
        path, make_manifest(plan, RUNNERS, ["test"], lambda _: None, measure=False)
    )


async def sweep(plan: Plan, path: Path) -> RunData:
    with new_folder(plan, path) as folder:
        await Sweep(plan, RUNNERS, folder, Recorder()).run()
    return read_run(path)


def children() -> list[psutil.Process]:
    """What still runs below this process; one that waits to be reaped does not."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    ]


async def test_everything_is_measured_once_and_traced_to_its_launch(tmp_path: Path) -> None:
    plan = plan_of(max_tokens=[4, 8])
    run = await sweep(plan, tmp_path / "run")
    assert len(run.samples) == plan.samples == 24
    assert len({sample.key for sample in run.samples}) == 24
    assert [sample.sequence for sample in run.samples] == list(range(24))
    assert {sample.launch for sample in run.samples} == {launch.id for launch in run.launches}
    assert {launch.id for launch in run.launches} == {
        f"r{number}-{arm}-n{length}"
        for number in (1, 2)
        for arm in ("none", "ngram-mod-k2")
        for length in (4, 8)
    }
    # No prompt twice in a launch: a method that learns would know the second answer.
    assert len({(s.launch, s.workload, s.prompt) for s in run.samples}) == len(run.samples)
    assert all(sample.output_tokens == sample.max_tokens for sample in run.samples)
    (session,) = run.sessions
    assert not session.interrupted
    assert 0 < session.harness_s < session.wall_s
    assert not children()


async def test_arm_that_does_not_start_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    plan = plan_of(
        methods=[], arm=[{}, {"method": "mtp", "args": {"fault": ["none", "refuse-speculation"]}}]
    )
    run = await sweep(plan, tmp_path / "run")
    failed = [launch for launch in run.launches if launch.status == "failed"]
    # It is not tried again in the second round: what it lacks it will lack then too.
    assert len(failed) == 1
    assert "fault=refuse-speculation" in failed[0].arm
    assert "serves with speculation: none" in str(failed[0].reason)
    others = [arm for arm in plan.arms if arm.id != failed[0].arm]
    assert len(run.samples) == len(others) * 3 * 2
    assert all(sample.status == "ok" for sample in run.samples)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("die-at-start", "exited with status 1"),
        ("hang-at-start", "did not start"),
    ],
)
async def test_faults_at_start(tmp_path: Path, fault: str, words: str) -> None:
    plan = plan_of(methods=[], args={"fault": fault}, start_timeout_s=1.5)
    run = await sweep(plan, tmp_path / "run")
    (launch,) = run.launches
    assert launch.status == "failed"
    assert words in str(launch.reason)
    assert not run.samples
    assert not children()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("die-in-request", "SIGSEGV"),
        pytest.param("hang-in-request", "no end after 1 s", marks=pytest.mark.slow),
        ("garbage", "HTTP"),
        ("http-500", "HTTP 500"),
        pytest.param("slow-death", "closed the connection", marks=pytest.mark.slow),
    ],
)
async def test_faults_in_a_request(tmp_path: Path, fault: str, words: str) -> None:
    plan = plan_of(
        methods=["mtp"],
        args={"fault": fault, "fault-after": 3},
        prompts=4,
        repeats=1,
        request_timeout_s=1,
    )
    run = await sweep(plan, tmp_path / "run")
    assert len(run.samples) == plan.samples
    for arm in plan.arms:
        samples = [sample for sample in run.samples if sample.arm == arm.id]
        # The warm-up and two requests of each launch succeed before the fault shows.
        assert [s.status for s in samples[:3]] == ["ok", "ok", "failed"]
        reasons = [str(s.reason) for s in samples if s.status == "failed"]
        assert any(words in reason for reason in reasons), reasons
    assert not children()


async def test_runner_that_dies_on_every_prompt_does_not_hold_up_the_sweep(tmp_path: Path) -> None:
    fault = {"fault": "die-in-request", "fault-after": 1}
    plan = plan_of(methods=[], args=fault, prompts=6, repeats=1, request_timeout_s=2)
    path = tmp_path / "run"
    run = await sweep(plan, path)
    # What was never sent is no sample, so that resuming comes back to it.
    assert len(run.samples) == len(run.launches) == 3
    assert all("SIGSEGV" in str(sample.reason) for sample in run.samples)
    with RunFolder.resume(path) as folder:
        await Sweep(plan, RUNNERS, folder, Recorder()).run()
    assert len(read_run(path).samples) == 6


class Interrupting(Recorder):
    """Cancels the sweep after so many samples."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.task = asyncio.current_task()

    def measured(self, sample: Sample) -> None:
        super().measured(sample)
        if len(self.samples) == self.after and self.task is not None:
            self.task.cancel()


@pytest.mark.parametrize("after", [1, 3, 5, 11])
async def test_cancelled_and_resumed(tmp_path: Path, after: int) -> None:
    plan = plan_of()
    path = tmp_path / "run"

    async def first() -> None:
        with new_folder(plan, path) as folder:
            await Sweep(plan, RUNNERS, folder, Interrupting(after)).run()

    task = asyncio.create_task(first())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()
    before = read_run(path)
    assert len(before.samples) == after
    assert before.sessions[0].interrupted
    with RunFolder.resume(path) as folder:
        await Sweep(plan, RUNNERS, folder, Recorder()).run()
    run = read_run(path)
    assert run.samples[:after] == before.samples
    assert len({sample.key for sample in run.samples}) == len(run.samples) == plan.samples
    assert [sample.sequence for sample in run.samples] == list(range(plan.samples))
    assert len({launch.id for launch in run.launches}) == len(run.launches)


async def test_resuming_a_finished_run_measures_nothing(tmp_path: Path) -> None:
    plan = plan_of(repeats=1)
    before = await sweep(plan, tmp_path / "run")
    with RunFolder.resume(tmp_path / "run") as folder:
        recorder = Recorder()
        await Sweep(plan, RUNNERS, folder, recorder).run()
    assert not recorder.launches
    assert read_run(tmp_path / "run").samples == before.samples


# ---- going on until it is precise -------------------------------------------------------------

PRECISE = {"precision": 0.5, "repeats": 1, "methods": ["mtp"], "prompts": 2}


def exactness(monkeypatch: pytest.MonkeyPatch, half_widths: Sequence[float | None]) -> None:
    """What the least exact figure is found at, each time when it is asked for."""
    left = iter(half_widths)
    monkeypatch.setattr(
        "harness.standing.least_exact",
        lambda *_, **__: Exactness("mtp k=2", "coding", next(left)),
    )


async def test_rounds_go_on_until_the_figures_are_exact_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exactness(monkeypatch, [None, 0.9, 0.50001, 0.5])
    plan, recorder = plan_of(**PRECISE), Recorder()
    with new_folder(plan, tmp_path / "run") as folder:
        await Sweep(plan, RUNNERS, folder, recorder).run()
    run = read_run(tmp_path / "run")
    assert {number: one.reached for number, one in recorder.standings.items()} == {
        3: False,
        4: False,
        5: False,
        6: True,
    }
    assert recorder.standings[3].words == "coding mtp k=2 at no interval yet of ±50%"
    assert recorder.standings[4].words == "coding mtp k=2 at ±90.0% of ±50%"
    assert len(run.samples) == run.planned == 6 * 2 * 2
    assert run.manifest.planned == 3 * 2 * 2
    # Later rounds are as those of any sweep: each launch and each prompt once.
    assert len({launch.id for launch in run.launches}) == len(run.launches) == 6 * 2


async def test_rounds_end_with_the_most_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exactness(monkeypatch, [0.9] * 9)
    plan, recorder = plan_of(**PRECISE, max_rounds=4), Recorder()
    with new_folder(plan, tmp_path / "run") as folder:
        await Sweep(plan, RUNNERS, folder, recorder).run()
    run = read_run(tmp_path / "run")
    assert list(recorder.standings) == [3]
    assert len(run.samples) == run.planned == 4 * 2 * 2


@pytest.mark.parametrize("after", [1, 11, 12, 13, 16, 19])
async def test_what_goes_on_is_cancelled_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    plan, path = plan_of(**PRECISE), tmp_path / "run"
    exactness(monkeypatch, [0.9, 0.9, *[0.4] * 9])

    async def first() -> None:
        with new_folder(plan, path) as folder:
            await Sweep(plan, RUNNERS, folder, Interrupting(after)).run()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(first())
    before = read_run(path)
    assert len(before.samples) == after < before.planned
    exactness(monkeypatch, [0.9] * (2 - max(0, (after - 9) // 4)) + [0.4] * 9)
    with RunFolder.resume(path) as folder:
        await Sweep(plan, RUNNERS, folder, Recorder()).run()
    run = read_run(path)
    assert run.samples[:after] == before.samples
    assert len({sample.key for sample in run.samples}) == len(run.samples) == run.planned
    # A round that was begun is measured to its end, and one that was not only if need be.
    assert run.planned == 5 * 2 * 2
    with RunFolder.resume(path) as folder:
        again = Recorder()
        await Sweep(plan, RUNNERS, folder, again).run()
    assert not again.samples
    assert read_run(path).planned == len(run.samples)


async def test_an_arm_that_breaks_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def found(*_: object, without: Collection[str]) -> None:
        asked.append(set(without))

    monkeypatch.setattr("harness.standing.least_exact", found)
    arms = [{"method": "mtp", "args": {"fault": ["none", "refuse-speculation"]}}]
    plan, recorder = plan_of(methods=[], arm=arms, precision=0.02), Recorder()
    with new_folder(plan, tmp_path / "run") as folder:
        await Sweep(plan, RUNNERS, folder, recorder).run()
    assert asked == [{launch.arm for launch in recorder.launches if launch.status == "failed"}]
    assert recorder.standings[3] == Standing(True, "no figure to be made more exact")
    run = read_run(tmp_path / "run")
    # What was planned of it is missing, which the exit status tells.
    assert len(run.samples) == run.planned * 3 / 4


async def test_nothing_that_works_ends_after_the_least_rounds(tmp_path: Path) -> None:
    plan = plan_of(methods=[], args={"fault": "die-at-start"}, precision=0.02)
    run = await sweep(plan, tmp_path / "run")
    assert len(run.launches) == 1
    assert run.planned == 3 * 3


# ---- probes ----------------------------------------------------------------------------------


def diverging(**changes: Any) -> Plan:
    """Two arms: one of them writes another text than plain from token 3 on."""
    arms = [{"method": "mtp", "args": {"diverge-at": 3}}, {"method": "ngram-mod"}]
    return plan_of(**{"methods": [], "arm": arms, **changes})


def lossless(run: RunData) -> dict[str, Lossless]:
    return {row.arm.method: row.lossless for row in summarise(run)}


@pytest.mark.parametrize(
    ("margin", "verdict"), [(0.03, Verdict.NEAR_TIE), (1.9, Verdict.DIFFERENT)]
)
async def test_first_differences_are_probed(
    tmp_path: Path, margin: float, verdict: Verdict
) -> None:
    recorder = Recorder()
    plan = diverging(args={"margin": margin})
    with new_folder(plan, tmp_path / "run") as folder:
        await Sweep(plan, RUNNERS, folder, recorder).run()
    run = read_run(tmp_path / "run")
    # Three prompts, whose answers are the same in both rounds.
    assert recorder.probed == len(run.probes) == 3
    assert {(probe.arm, probe.prefix) for probe in run.probes} == {("none", 3)}
    assert all((tmp_path / "run" / probe.log).exists() for probe in run.probes)
    found = lossless(run)
    assert found["ngram-mod"].verdict is Verdict.IDENTICAL
    assert found["mtp"].verdict is verdict
    assert (found["mtp"].differing, found["mtp"].decisive) == (6, 3)
    assert found["mtp"].margin is not None
    assert found["mtp"].margin.value == pytest.approx(margin)
    (session,) = run.sessions
    assert session.harness_s > 0
    assert not children()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"args": {"fault": "hides-probabilities"}}, "the runner does not tell"),
        ({"keep_text": False}, "only hashes"),
    ],
)
async def test_what_cannot_be_probed(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    found = lossless(await sweep(diverging(repeats=1, **changes), tmp_path / "run"))["mtp"]
    assert (found.verdict, found.unprobed) == (Verdict.DIFFERENT, 3)
    assert str(found.unprobed_reason).startswith(reason)


async def test_sampled_answers_are_not_probed(tmp_path: Path) -> None:
    run = await sweep(diverging(repeats=1, temperature=0.7), tmp_path / "run")
    assert run.probes == ()
    assert lossless(run)["mtp"].verdict is Verdict.NOT_COMPARABLE


class InterruptingProbes(Recorder):
    """Cancels the sweep when the probes begin."""

    def probing(self, count: int) -> None:
        super().probing(count)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()


async def test_cancelled_while_probing_and_resumed(tmp_path: Path) -> None:
    plan = diverging()
    path = tmp_path / "run"

    async def first() -> None:
        with new_folder(plan, path) as folder:
            await Sweep(plan, RUNNERS, folder, InterruptingProbes()).run()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(first())
    assert not children()
    before = read_run(path)
    assert len(before.samples) == plan.samples
    assert before.sessions[0].interrupted
    for missing in (3, 1):
        with RunFolder.resume(path) as folder:
            recorder = Recorder()
            await Sweep(plan, RUNNERS, folder, recorder).run()
        run = read_run(path)
        assert not recorder.launches
        assert recorder.probed == missing
        assert run.samples == before.samples
        assert len(run.probes) == 3
        # Lost the last line, as by a kill in the middle of it.
        file = path / "probes.jsonl"
        file.write_bytes(file.read_bytes()[:-5])


async def test_a_plain_arm_that_dies_while_probed_costs_no_sample(tmp_path: Path) -> None:
    plan = diverging(repeats=1)
    path = tmp_path / "run"

    class Dying(Recorder):
        """From here on nothing starts."""

        def probing(self, count: int) -> None:
            super().probing(count)
            for arm in plan.arms:
                object.__setattr__(arm, "options", (("fault", "die-at-start"),))

    with new_folder(plan, path) as folder:
        await Sweep(plan, RUNNERS, folder, Dying()).run()
    run = read_run(path)
    assert all(sample.status == "ok" for sample in run.samples)
    assert len(run.probes) == 3
    assert {probe.top for probe in run.probes} == {None}
    assert all("exited with status 1" in str(probe.reason) for probe in run.probes)


# ---- reviews ---------------------------------------------------------------------------------


async def test_a_silent_drafter_fails_with_its_logs_words(tmp_path: Path) -> None:
    arms = [{"method": "mtp", "args": {"fault": ["none", "drafts-nothing"]}}]
    run = await sweep(plan_of(methods=[], arm=arms, repeats=1), tmp_path / "run")
    failures = [row.failure for row in summarise(run) if "drafts-nothing" in row.arm.id]
    assert failures[-1] == (
        "asked for mtp, drafted nothing in 3 requests; mock: no drafts: told to draft nothing"
    )
    # The second line of a launch took the place of the first.
    assert len({launch.id for launch in run.launches}) == len(run.launches)


async def test_counts_that_disagree_fail_the_trial_with_both(tmp_path: Path) -> None:
    arms = [{"method": "mtp", "args": {"fault": "miscounts"}}]
    run = await sweep(plan_of(methods=[], arm=arms, repeats=1, prompts=1), tmp_path / "run")
    (failure,) = [row.failure for row in summarise(run) if row.arm.method == "mtp"]
    assert re.match(
        r"the response says (\d+) tokens were drafted, the counters say (?!\1$)\d+$", str(failure)
    )
    assert any(
        launch.disagreement is not None and "/metrics" in launch.disagreement
        for launch in run.launches
    )


async def test_shorter_drafts_than_asked_for_are_noted(tmp_path: Path) -> None:
    arms = [{"method": "mtp", "args": {"draft-limit": 1}}]
    run = await sweep(plan_of(methods=[], arm=arms, repeats=1), tmp_path / "run")
    (notes,) = [row.notes for row in summarise(run) if row.arm.method == "mtp"]
    assert "asked for k=2, the runner drafts at most 1" in notes


async def test_a_review_that_fails_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: MockServer) -> Review:
        raise OSError("the log is gone")

    monkeypatch.setattr(MockServer, "review", broken)
    run = await sweep(plan_of(repeats=1), tmp_path / "run")
    assert all(sample.status == "ok" for sample in run.samples)
    remarks = {launch.arm: launch.remark for launch in run.launches}
    assert remarks["none"] is None
    assert "the log is gone" in str(remarks["ngram-mod-k2"])
