"""A tuning as a run: its suite, what counts as planned, and what may change when it is resumed."""

from __future__ import annotations

import dataclasses

import pytest

from harness.gather import gather
from harness.manifest import differences
from harness.quantities import parse_duration
from harness.records import Session
from harness.suite import MOST_FOR_TUNING, Suite, SuiteError, make_suite
from harness.tuning_goal import TuningGoal
from tests.harness.builders import make_arm, make_launch, make_run, make_samples

NONE, K2, K4 = make_arm(), make_arm("mtp", 2), make_arm("mtp", 4)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("90s", 90), ("1h", 3600), ("1.5 h", 5400), (" 45 ", 45), ("0.5s", 0.5)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert make_suite({"runner": "mock", "budget": text}).budget == seconds


@pytest.mark.parametrize("text", ["", "0", "-1m", "10 minutes", "1m30s", "m", "1e9", "nan", "1d"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="no time above 0"):
        parse_duration(text)


def test_a_suite_with_a_budget_goes_on() -> None:
    suite = make_suite({"runner": "mock", "budget": 60, "repeats": 5})
    assert (suite.least_rounds, suite.most_rounds) == (1, MOST_FOR_TUNING)
    assert suite.goes_on


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"precision": "2%"}, "decides by itself how many rounds"),
        ({"max_rounds": 5}, "decides by itself how many rounds"),
        ({"max_tokens": (64, 128)}, "one answer length"),
    ],
)
def test_what_makes_no_sense_with_a_budget(more: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        gather(None, {"runner": "mock", "methods": ("mtp",), "budget": "1m", **more}, ())


def test_what_was_not_measured_is_no_part_of_a_tuning() -> None:
    never = make_arm("mtp", 8, impossible="no room")
    samples = [*make_samples(NONE, [50.0]), *make_samples(K2, [60.0])]
    launches = [make_launch(NONE), make_launch(K2)]
    run = make_run((NONE, K2, K4, never), samples, launches=launches, budget=60.0)
    assert run.arms == (NONE, K2, never)
    assert run.planned == 2
    other = make_run((NONE, K2, K4, never), samples, launches=launches)
    assert other.arms == (NONE, K2, K4, never)
    cut = Session(started_at="", wall_s=1.0, loading_s=0.0, waiting_s=0.0, interrupted=True)
    assert dataclasses.replace(run, sessions=(cut,)).planned == 3


def test_more_time_is_no_other_run_but_a_sweep_is() -> None:
    samples = make_samples(NONE, [50.0])
    manifests = [make_run((NONE, K2), samples, budget=b).manifest for b in (60.0, 600.0, None)]
    assert not differences(manifests[0], manifests[1])
    assert "budget: was 60.0, is now None" in differences(manifests[0], manifests[2])


def test_a_tuning_keeps_its_goal() -> None:
    samples = make_samples(NONE, [50.0])
    decode, unnamed, ttft = (
        make_run((NONE, K2), samples, budget=60.0, goal=goal).manifest
        for goal in ("decode", None, "ttft")
    )
    assert unnamed.suite.goal is TuningGoal.DECODE
    assert not differences(decode, unnamed)
    assert differences(decode, ttft) == ["goal: was decode, is now ttft"]
    assert Suite.model_validate_json(ttft.suite.model_dump_json()) == ttft.suite


def test_a_goal_is_of_a_tuning() -> None:
    with pytest.raises(SuiteError, match="--goal says what a tuning makes faster, and without a"):
        gather(None, {"runner": "mock", "methods": ("mtp",), "goal": "ttft"}, ())
    with pytest.raises(SuiteError, match=r"--goal: .*'decode', 'throughput' or 'ttft', not 'fast'"):
        make_suite({"runner": "mock", "budget": "1m", "goal": "fast"})
    assert make_suite({"runner": "mock"}).goal is None
