from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import harness.estimate
from harness.estimate import Estimate, estimate
from harness.machine.bandwidth import Bandwidth, BandwidthError
from harness.machine.fingerprint import read_machine
from harness.plan import Plan, make_plan
from harness.suite import make_suite
from runners.registry import RUNNERS
from tests.harness.models.gguf_files import dense, write


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a runner that reads a model file; nothing is launched."""
    made = make_plan(make_suite({"runner": "mock", "workloads": ["coding"]}), RUNNERS)
    model = str(write(tmp_path / "m.gguf", dense()))
    arms = tuple(
        arm.model_copy(update={"runner": "llama.cpp", "model": model}) for arm in made.arms
    )
    return replace(made, arms=arms)


@pytest.fixture(autouse=True)
def _without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = read_machine().model_copy(update={"gpus": ()})
    monkeypatch.setattr(harness.estimate, "read_machine", lambda: bare)


def test_twice_the_rounds_take_twice_the_time(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Bandwidth(bytes_per_s=1e9, readings=(1e9,), threads=1, buffer_bytes=1)
    monkeypatch.setattr(harness.estimate, "measure_read_bandwidth", lambda: measured)
    once = estimate(plan, RUNNERS).seconds
    more = plan.suite.model_copy(update={"repeats": 2 * plan.suite.repeats})
    twice = estimate(replace(plan, suite=more), RUNNERS).seconds
    assert once
    assert twice == pytest.approx(2 * once)


def test_unknown_bandwidth_is_an_unknown_time(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Bandwidth:
        raise BandwidthError("too little free memory")

    monkeypatch.setattr(harness.estimate, "measure_read_bandwidth", fail)
    guess = estimate(plan, RUNNERS)
    assert guess == Estimate(None, "too little free memory")
    assert guess.words == "time unknown: too little free memory"


def test_what_goes_on_takes_at_least_and_at_most_so_long(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Bandwidth(bytes_per_s=1e9, readings=(1e9,), threads=1, buffer_bytes=1)
    monkeypatch.setattr(harness.estimate, "measure_read_bandwidth", lambda: measured)
    once = estimate(plan, RUNNERS)
    going_on = plan.suite.model_copy(update={"precision": 0.02, "max_rounds": 12})
    guess = estimate(replace(plan, suite=going_on), RUNNERS)
    assert guess.seconds == once.seconds
    assert guess.seconds is not None
    assert guess.most_s == pytest.approx(4 * guess.seconds)
    assert replace(guess, seconds=59, most_s=3600).words.startswith(
        "at least about 59 s and at most about 60 minutes if decoding"
    )
