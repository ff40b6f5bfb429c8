"""The command as a process of its own: finished, interrupted, killed, and resumed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.run_folder import RunFolderError, read_run

MARK = "BENCH_TEST_MARK"
SWEEP = [
    *("--runner", "mock", "--method", "ngram-mod", "--draft-tokens", "2,4"),
    *("--workload", "coding", "--prompts", "3", "--repeats", "3", "--max-tokens", "12"),
    *("--runner-arg", "step-ms=3", "--runner-arg", "prefill-ms=2"),
]
SAMPLES = 3 * 3 * 3


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the environment of everything that a test starts, to find what it leaves."""
    word = uuid.uuid4().hex
    yield word
    for process in left(word):
        process.kill()


def left(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == word and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def nothing_left(word: str) -> bool:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if not left(word):
            return True
        time.sleep(0.05)
    return False


def start(word: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "sweep", *map(str, arguments)],
        env={**os.environ, MARK: word},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and what they start inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.slow
def test_a_whole_sweep_and_its_report(tmp_path: Path, mark: str) -> None:
    run = tmp_path / "run"
    status, out, err = finish(start(mark, *SWEEP, "--out", run))
    assert status == 0, err
    assert "round 3/3" in err
    assert f"Report: {run / 'report.html'}" in out
    assert nothing_left(mark)
    # The word stands in the environment of the command and of every runner, as a secret might.
    assert not [file for file in run.rglob("*") if file.is_file() and mark in file.read_text()]
    page = (run / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    with (run / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    # Status 0 again, and the same rows, from the samples alone.
    again = subprocess.run(
        [sys.executable, "-m", "harness.cli", "report", str(run)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == out


@pytest.mark.slow
def test_it_goes_on_until_it_is_precise_or_told_to_end(tmp_path: Path, mark: str) -> None:
    run = tmp_path / "run"
    going_on = ["--precision", "0.0001%", "--max-rounds", "4", "--out", run]
    status, out, err = finish(start(mark, *SWEEP, *going_on))
    assert status == 0, err
    assert re.search(r"^round 3, coding ngram-mod k=[24] at ±[0-9.]+% of ±0\.0001%$", err, re.M)
    assert "Less precise than was asked for after 4 rounds: coding" in " ".join(out.split())
    assert "4, at least 3 and at most 4, until every interval is" in (run / "report.md").read_text()
    assert len(read_run(run).samples) == 4 * 3 * 3
    status, _, err = finish(start(mark, "--resume", run))
    assert status == 0, err
    assert len(read_run(run).samples) == 4 * 3 * 3


def test_the_plan_says_at_least_and_at_most(mark: str) -> None:
    status, out, _ = finish(start(mark, *SWEEP, "--precision", "2%", "--dry-run"))
    assert status == 0
    assert "3 arms in at least 3 rounds and at most 30, until every interval is within ±2%" in out
    assert "at least 9 launches" in " ".join(out.split())
    assert "at least 27 requests" in out
    status, _, err = finish(start(mark, *SWEEP, "--max-rounds", "9"))
    assert status == 2
    assert err.startswith("bench: --max-rounds ends a sweep that goes on until it is precise")


@pytest.mark.slow
def test_results_as_json(tmp_path: Path, mark: str) -> None:
    status, out, _ = finish(start(mark, *SWEEP, "--out", tmp_path / "run", "--json"))
    assert status == 0
    rows = json.loads(out)
    assert [row["arm"]["id"] for row in rows] == ["none", "ngram-mod-k2", "ngram-mod-k4"]
    assert all(row["ok"] == 9 for row in rows)


@pytest.mark.slow
def test_a_failed_trial_is_status_1_and_a_row(tmp_path: Path, mark: str) -> None:
    fault = ["--runner-arg", "fault=none,refuse-speculation"]
    status, out, _ = finish(start(mark, *SWEEP, *fault, "--out", tmp_path / "run"))
    assert status == 1
    assert "serves with speculation: none" in " ".join(out.split())
    assert "serves with speculation: none" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.slow
def test_drafting_nothing_is_status_1(tmp_path: Path, mark: str) -> None:
    fault = ["--runner-arg", "fault=drafts-nothing"]
    status, out, _ = finish(start(mark, *SWEEP, *fault, "--out", tmp_path / "run"))
    assert status == 1
    assert "drafted nothing" in " ".join(out.split())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(tmp_path: Path, mark: str, number: signal.Signals) -> None:
    run = tmp_path / "run"
    process = start(mark, *SWEEP, "--out", run)
    wait_for_samples(run, 5)
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 130
    assert "Traceback" not in err
    assert f"bench sweep --resume {run}" in err
    assert nothing_left(mark)
    kept = read_run(run).samples
    assert len(kept) >= 5
    status, _, err = finish(start(mark, "--resume", run))
    assert status == 0, err
    samples = read_run(run).samples
    assert samples[: len(kept)] == kept
    assert len({sample.key for sample in samples}) == len(samples) == SAMPLES


@pytest.mark.slow
def test_resuming_another_plan_is_refused(tmp_path: Path, mark: str) -> None:
    run = tmp_path / "run"
    process = start(mark, *SWEEP, "--out", run)
    wait_for_samples(run, 2)
    process.kill()
    finish(process)
    status, _, err = finish(start(mark, "--resume", run, "--repeats", "5", "--seed", "7"))
    assert status == 2
    assert "repeats: was 3, is now 5" in err
    assert "seed: was 1, is now 7" in err


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, mark: str) -> None:
    """SIGKILL again and again: no sample lost, none twice, no process left."""
    run = tmp_path / "run"
    moments = random.Random(4)
    kept: tuple[object, ...] = ()
    kills = 0
    while True:
        process = start(mark, *(["--resume", run] if kept else [*SWEEP, "--out", run]))
        try:
            # Long enough to get a little further each time, at whatever speed this machine has.
            process.wait(moments.uniform(1.2, 3.0) + kills / 4)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        status, _, err = finish(process)
        assert nothing_left(mark)
        if status == 0:
            break
        assert status == -signal.SIGKILL, err
        try:
            samples = read_run(run).samples
        except RunFolderError:  # Killed before the run had begun.
            assert not (run / "samples.jsonl").exists()
            samples = ()
        assert samples[: len(kept)] == kept
        kept = samples
        if not kept and run.exists():
            run.rename(tmp_path / f"begun-{kills}")
    assert kills >= 2
    samples = read_run(run).samples
    assert samples[: len(kept)] == kept
    assert len({sample.key for sample in samples}) == len(samples) == SAMPLES


def wait_for_samples(run: Path, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if (run / "samples.jsonl").read_bytes().count(b"\n") >= count:
                return
        time.sleep(0.01)
    raise AssertionError(f"{run} never had {count} samples")


DRY = [sys.executable, "-m", "harness.cli", "sweep", "--runner", "mock", "--dry-run"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_full_standard_output_is_one_message() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(DRY, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "bench: cannot write the output: No space left on device\n"


def test_argument_that_is_no_text(tmp_path: Path) -> None:
    command = [*(os.fsencode(word) for word in DRY), b"--out", os.fsencode(tmp_path) + b"/\xff"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 2
    assert b"is not UTF-8 text" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.slow
def test_ctrl_c_while_the_reports_are_written_says_where_the_samples_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.outcome.write_reports", interrupted)
    out = tmp_path / "run"
    result = CliRunner().invoke(app, ["sweep", *SWEEP, "--out", str(out)])
    assert result.exit_code == 130
    assert f"interrupted; {SAMPLES} of {SAMPLES} requests are measured and kept" in result.stderr
    assert f"bench report {out}" in result.stderr
