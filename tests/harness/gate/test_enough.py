from __future__ import annotations

from pathlib import Path

import pytest

from harness.gate.enough import Need, greatest_need
from harness.goal import goal_of
from harness.records import Sample
from harness.run_folder import read_run
from harness.standing import of_threshold, standing
from harness.suite import make_suite
from tests.harness.gate.runs import LOUD, QUIET, ab_run, changed, single_run, times


def test_the_noisiest_trial_says_how_many_rounds_it_takes(tmp_path: Path) -> None:
    # The drafts are accepted by luck, so that only their rounds are far apart.
    def shaken(sample: Sample) -> Sample:
        return times(decode_rate=1.2 if sample.round % 2 else 1.0)(sample)

    run = ab_run(tmp_path / "run", noise=QUIET, change=shaken, only="draft")
    need = greatest_need(run, 0.05)
    assert need is not None
    assert need.trial.startswith("draft-model k=4")
    assert need.rounds == 6
    assert need.needed is not None
    assert need.needed > 6
    assert not need.is_met
    # What does not start is not waited for.
    rest = greatest_need(run, 0.05, broken=["candidate-draft"])
    assert rest is not None
    assert rest.trial.startswith("plain")
    assert rest.is_met


def test_more_rounds_and_a_wider_threshold_are_enough_sooner(tmp_path: Path) -> None:
    few = ab_run(tmp_path / "few", noise=LOUD)
    many = ab_run(tmp_path / "many", noise=LOUD, rounds=30)
    found = [greatest_need(run, share) for run in (few, many) for share in (0.05, 0.2)]
    needs = [one for one in found if one is not None]
    assert [one.rounds for one in needs] == [6, 6, 30, 30]
    assert [one.is_met for one in needs] == [False, False, False, True]


@pytest.mark.parametrize("runner", ["baseline", "candidate"])
def test_a_side_without_samples_needs_nothing(tmp_path: Path, runner: str) -> None:
    def lost(sample: Sample) -> Sample:
        return changed(status="failed", reason="HTTP 500", decode_rate=None)(sample)

    side = {"before": lost} if runner == "baseline" else {"change": lost}
    run = ab_run(tmp_path / "run", **side)  # type: ignore[arg-type]
    assert greatest_need(run, 0.05) is None
    assert greatest_need(single_run(tmp_path / "single"), 0.05) is None


def test_too_few_rounds_are_not_enough(tmp_path: Path) -> None:
    need = greatest_need(ab_run(tmp_path / "run", rounds=2), 0.9)
    assert need is not None
    assert (need.needed, need.is_met) == (None, False)
    assert "many more rounds would find a loss" in of_threshold(need, 0.05).words


def test_how_a_run_of_two_builds_stands(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run", threshold=0.05)
    suite = read_run(run).manifest.suite
    assert goal_of(suite) == "until a loss of 10% would be found"
    found = standing(run, suite)
    assert found is not None
    assert found.reached
    assert found.words.endswith(": about 3 rounds would find a loss of 10%")
    assert standing(run, make_suite({"repeats": 3})) is None
    assert not of_threshold(Need("plain", 6, 7), 0.05).reached
    assert of_threshold(None, 0.05).reached


def test_a_trial_that_lost_rounds_is_measured_on(tmp_path: Path) -> None:
    """Though another needs more of them, and has them."""

    def lost(sample: Sample) -> Sample:
        shaken = times(decode_rate=1.06 if sample.round % 2 else 1.0)
        if not sample.arm.endswith("draft"):
            return times(decode_rate=1.08 if sample.round % 2 else 1.0)(sample)
        return changed(decode_rate=None)(sample) if sample.round > 3 else shaken(sample)

    run = ab_run(tmp_path / "run", rounds=30, change=lost, noise=(0.0,))
    need = greatest_need(run, 0.05)
    assert need is not None
    assert need.rounds == 3
    assert not need.is_met
