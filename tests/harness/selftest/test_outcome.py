from __future__ import annotations

import io
import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.gate.decide import Decision
from harness.selftest.outcome import SelfTest, self_test
from harness.selftest.view import render_json, show
from tests.harness.gate.runs import LOUD, QUIET, ab_run, times


def shown(found: SelfTest) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_quiet_machine_passes(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run"), 0.05, seed=1)
    assert found.passed
    assert found.decision is Decision.PASSED
    assert (found.nights.count, found.nights.is_all) == (64, True)
    assert (found.nights.regressed, found.nights.inconclusive) == (0, 0)
    assert [trial.rounds for trial in found.trials] == [6, 6]
    # The noise is the candidate's alone: each of `QUIET` twice.
    assert found.trials[0].noise == pytest.approx(statistics.stdev([*QUIET, *QUIET]))
    assert found.trials[0].ratio == pytest.approx(1)
    assert found.trials[0].smallest is not None
    assert 0.05 < found.trials[0].smallest < 0.1
    assert found.trials[0].rounds_needed == 3
    text = shown(found)
    assert text.startswith("Self-test passed: false alarms in 0% of nights")
    assert "64 nights made of these rounds by swapping labels (every way)" in text
    assert "at a threshold of 5%: 0 regressed, 0 inconclusive" in text


def test_a_loud_machine_is_not_sure_but_raises_no_alarm(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run", noise=LOUD), 0.05, seed=1)
    assert found.nights.false_alarms <= 0.01
    assert found.nights.inconclusive > 50
    assert found.passed
    assert all((trial.rounds_needed or 9999) > 6 for trial in found.trials)


def test_a_run_that_is_regressed_does_not_pass(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run", change=times(decode_rate=0.7)), 0.05, seed=1)
    assert found.decision is Decision.REGRESSED
    assert not found.passed
    assert shown(found).startswith("Self-test failed: false alarms in 1.56% of nights")
    told = json.loads(render_json(found))
    assert (told["passed"], told["decision"]) == (False, "regressed")
    assert told["false_alarms"] == 1 / 64 == found.nights.false_alarms


def test_alarms_alone_do_not_pass(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run"), 0.05, seed=1)
    assert found.passed
    assert not replace(found, nights=replace(found.nights, regressed=1)).passed
    assert not replace(found, nights=replace(found.nights, count=0)).passed
    assert "no decode rates" in shown(replace(found, nights=replace(found.nights, count=0)))


def test_too_few_rounds_tell_no_noise(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run", rounds=2), 0.05, seed=1)
    assert [trial.smallest for trial in found.trials] == [None, None]
    assert found.nights.inconclusive == found.nights.count == 4
    assert "–" in shown(found)


def test_what_a_trial_is_called_is_text(tmp_path: Path) -> None:
    found = self_test(ab_run(tmp_path / "run"), 0.05, seed=1)
    hostile = replace(found.trials[0], trial="[red]:smile:\x1b[31m\n::error::")
    text = shown(replace(found, trials=(hostile,)))
    assert "[red]:smile:" in text
    assert "\x1b" not in text
