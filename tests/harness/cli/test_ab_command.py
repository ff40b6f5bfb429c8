"""`bench ab` and `bench selftest` over the mock, as processes and within this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.run_folder import read_run
from tests.harness.models.gguf_files import dense, write

WHAT = [
    *("--workload", "coding", "--prompts", "2", "--max-tokens", "12"),
    *("--runner-arg", "prefill-ms=1", "--request-timeout", "20"),
]
BOTH = ["--baseline-runner", "mock", "--candidate-runner", "mock", *WHAT]
EVEN = [*BOTH, "--runner-arg", "step-ms=6", "--threshold", "60%"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def bench(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


@pytest.mark.slow
def test_a_slower_candidate_is_regressed_and_named_in_the_reports() -> None:
    slower = ["--baseline-arg", "step-ms=4", "--candidate-arg", "step-ms=14"]
    status, out, err = bench("ab", *BOTH, *slower, "--repeats", "8", "--out", "run")
    assert status == 1, err
    assert out.startswith("REGRESSED")
    assert "Report: run/report.html" in out
    assert "same build" not in err
    assert read_run(Path("run")).planned == len(read_run(Path("run")).samples) == 8 * 2 * 2
    page = Path("run/report.md").read_text()
    assert "baseline · plain" in page
    assert "candidate · plain" in page
    # The same verdict from the folder alone, at the same threshold and at another.
    assert bench("gate", "run")[0] == 1
    assert bench("gate", "run", "--threshold", "95%")[0] == 0


@pytest.mark.slow
def test_the_same_build_passes_and_is_told_to_be_the_same() -> None:
    status, out, err = bench("ab", *EVEN, "--max-rounds", "12", "--out", "run")
    assert status == 0, out
    assert out.startswith("PASSED")
    assert err.count("baseline and candidate are the same build with the same options") == 1
    assert "would find a loss of 120%" in err
    run = read_run(Path("run"))
    assert len(run.samples) == run.planned
    assert 6 <= max(sample.round for sample in run.samples) <= 12
    assert bench("ab", "--resume", "run")[0] == 0
    assert read_run(Path("run")).samples == run.samples
    status, out, _ = bench("ab", "--resume", "run", "--json")
    assert (status, json.loads(out)["decision"]) == (0, "passed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("fault=die-at-start", "exited with status 1"),
        ("fault=die-in-request", "SIGSEGV"),
    ],
)
def test_a_candidate_that_dies_is_regressed(fault: str, words: str) -> None:
    status, out, err = bench("ab", *EVEN, "--candidate-arg", fault, "--out", "run")
    assert status == 1, out + err
    assert "REGRESSED" in out
    assert words in "".join(out.splitlines()) or words in out
    # Nobody waits for more rounds of what does not run.
    assert max(sample.round for sample in read_run(Path("run")).samples) == 6


@pytest.mark.slow
def test_a_baseline_that_dies_is_inconclusive() -> None:
    fault = ["--baseline-arg", "fault=die-at-start"]
    status, out, err = bench("ab", *EVEN, *fault, "--repeats", "3", "--out", "run")
    assert status == 3, out + err


@pytest.mark.slow
def test_interrupted_and_resumed() -> None:
    process = start("ab", *EVEN, "--max-rounds", "9", "--out", "run")
    until = time.monotonic() + 60
    lines = Path("run/samples.jsonl")
    while time.monotonic() < until and not (lines.exists() and lines.read_bytes().count(b"\n") > 9):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of at least 24 requests are measured and kept" in err
    assert "bench ab --resume run" in err
    assert "Traceback" not in err
    kept = read_run(Path("run")).samples
    assert len(kept) < 24
    status, out, err = bench("ab", "--resume", "run")
    assert status == 0, out + err
    assert out.startswith("PASSED")
    run = read_run(Path("run"))
    assert run.samples[: len(kept)] == kept
    assert len({sample.key for sample in run.samples}) == len(run.samples) == run.planned >= 24


def test_the_plan_alone() -> None:
    status, out, _ = bench("ab", *EVEN, "--dry-run")
    assert status == 0
    assert "at least 6 rounds and at most 40, until a loss of 120% would be found" in out
    plan = json.loads(bench("ab", *EVEN, "--max-rounds", "9", "--dry-run", "--json")[1])
    assert (plan["launches"], plan["most_launches"]) == (12, 18)
    assert (plan["requests"], plan["most_requests"]) == (24, 36)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--candidate-runner", "moc"], "--candidate-runner: there is no runner 'moc'; did you me"),
        (["--candidate-runner", "mock=./mine"], "the runner mock has no program to name"),
        (
            ["--candidate-runner", "llama.cpp", "--model", "m.gguf"],
            "the candidate cannot be measured plain: ",
        ),
        (["--candidate-runner", "vllm"], "no model: give one with --model: vllm reads a Hugging F"),
        (["--candidate-arg", "step-mss=3"], "candidate: the mock has no option 'step-mss'"),
        (["--threshold", "120%"], "--threshold: '120%' is no share above 0% and below 100%"),
        (["--repeats", "9", "--max-rounds", "3"], "--max-rounds: 3 rounds are fewer than the 9"),
        (["--draft-tokens", "3"], "--draft-tokens goes with methods, and none is named"),
        (["--resume", "nowhere"], "there is no folder nowhere"),
        (["--resume", "run", "--out", "there"], "leave them and --out away"),
    ],
)
def test_wrong_usage_is_status_2_and_measures_nothing(options: list[str], words: str) -> None:
    given = ["--baseline-runner", "mock", *WHAT] if "--resume" not in options else []
    runner = [] if {"--candidate-runner", "--resume"} & set(options) else ["--candidate-runner"]
    status, out, err = bench("ab", *given, *runner, *(["mock"] if runner else []), *options)
    assert (status, out) == (2, "")
    assert words in " ".join(err.split())
    assert "Traceback" not in err
    assert not Path("results").exists()


def test_no_such_program_is_status_2_and_measures_nothing(tmp_path: Path) -> None:
    model = str(write(tmp_path / "m.gguf", dense()))
    status, out, err = bench(
        *("ab", "--baseline-runner", "mock", "--candidate-runner", "llama.cpp=./none"),
        *("--model", model, *WHAT),
    )
    assert (status, out) == (2, "")
    assert f"bench: candidate: {tmp_path / 'none'} does not exist; name a llama-server" in err
    assert not Path("results").exists()


@pytest.mark.slow
def test_a_sweep_is_no_run_of_two_builds() -> None:
    assert bench("sweep", "--runner", "mock", *WHAT, "--repeats", "1", "--out", "run")[0] == 0
    for command in ("ab", "selftest"):
        status, _, err = bench(command, "--resume", "run")
        assert status == 2
        assert f"run is no run of bench {command}" in err


@pytest.mark.slow
def test_a_build_against_itself() -> None:
    what = ["--runner", "mock", *WHAT, "--runner-arg", "step-ms=6", "--threshold", "60%"]
    status, out, err = bench("selftest", *what, "--repeats", "5", "--out", "run")
    assert status == 0, out + err
    assert out.startswith("Self-test passed: false alarms in 0% of nights, at most 1% are promised")
    assert "32 nights made of these rounds by swapping labels (every way), at a" in out
    status, out, _ = bench("selftest", "--resume", "run", "--json")
    found = json.loads(out)
    assert (status, found["passed"], found["nights"]["count"]) == (0, True, 32)
    assert [(trial["trial"], trial["rounds"]) for trial in found["trials"]] == [
        ("plain · coding", 5)
    ]
    assert bench("gate", "run", "--threshold", "60%")[0] == 0


@pytest.mark.slow
def test_a_build_that_never_starts_is_no_self_test() -> None:
    what = ["--runner", "mock", *WHAT, "--runner-arg", "fault=die-at-start"]
    status, out, err = bench("selftest", *what, "--repeats", "3", "--out", "run")
    assert (status, out) == (2, "")
    assert "run holds no sample" in err


@pytest.mark.slow
def test_two_builds_are_no_self_test() -> None:
    slower = ["--baseline-arg", "step-ms=1", "--candidate-arg", "step-ms=2"]
    bench("ab", *BOTH, *slower, "--repeats", "1", "--out", "run")
    status, _, err = bench("selftest", "--resume", "run")
    assert status == 2
    assert "run is a run of two builds" in err
