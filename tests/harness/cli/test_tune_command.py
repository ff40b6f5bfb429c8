"""`bench tune` on the mock, whose truth is known: finished, interrupted, out of time, refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.analysis.summary import summarise
from harness.cli.__main__ import app
from harness.run_folder import read_run
from harness.tune.rounds import arms_of_round

MOCK = [
    *("--runner", "mock", "--method", "mtp", "--draft-tokens", "1-8"),
    *("--workload", "coding", "--prompts", "3", "--max-tokens", "40"),
    *("--runner-arg", "step-ms=4", "--runner-arg", "prefill-ms=1"),
]
PAYS = ["--runner-arg", "verify-ms-per-row=1.2", "--runner-arg", "acceptance=0.75"]
NEVER_PAYS = ["--runner-arg", "verify-ms-per-row=3", "--runner-arg", "acceptance=0.2"]


def bench(*arguments: str | Path) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        # A shell's background jobs ignore Ctrl-C, and what they start inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def wait_for_samples(run: Path, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if (run / "samples.jsonl").read_bytes().count(b"\n") >= count:
                return
        time.sleep(0.01)
    raise AssertionError(f"{run} never had {count} samples")


@pytest.mark.slow
def test_the_pick_is_as_good_as_the_best_of_the_exhaustive_sweep(tmp_path: Path) -> None:
    tuning, grid = tmp_path / "tuning", tmp_path / "grid"
    status, out, err = bench("tune", *MOCK, *PAYS, "--out", tuning, "--json")
    assert status == 0, err
    card = json.loads(out)
    (one,) = card["workloads"]
    assert one["outcome"] == "faster than plain"
    assert one["speedup"]["interval"]["low"] > 1
    assert one["lossless"]["verdict"] == "identical"
    assert card["complete"]
    assert card["for_all"]["arm"] == one["arm"]
    assert "runners.mock_server" in card["for_all"]["command"]
    status, _, err = bench("sweep", *MOCK, *PAYS, "--repeats", "3", "--out", grid)
    assert status == 0, err
    measured = read_run(grid)
    rates = {
        row.arm.id: row.speedup.value for row in summarise(measured) if row.speedup is not None
    }
    assert rates[one["arm"]] > 0.95 * max(rates.values())
    assert len(read_run(tuning).samples) < 0.6 * len(measured.samples)
    # What it wrote is a suite of plain and the recommended setting.
    status, out, err = bench("sweep", tuning / "tuned.toml", "--dry-run", "--json")
    assert status == 0, err
    arms = json.loads(out)["arms"]
    assert [(arm["method"], arm["draft_tokens"]) for arm in arms] == [
        ("none", None),
        ("mtp", next(a.draft_tokens for a in measured.manifest.arms if a.id == one["arm"])),
    ]
    # The reports can be made again, and say the same.
    status, out, err = bench("report", tuning)
    assert status == 0, err
    assert f"coding: {one['setting']} is" in out
    assert "Recommended settings" in (tuning / "report.md").read_text()
    assert "Recommended settings" in (tuning / "report.html").read_text()


@pytest.mark.slow
def test_plain_is_best_is_an_answer(tmp_path: Path) -> None:
    status, out, err = bench("tune", *MOCK, *NEVER_PAYS, "--out", tmp_path / "run")
    assert status == 0, err
    assert "coding: plain is best" in out
    assert 'method = "none"' in (tmp_path / "run" / "tuned.toml").read_text()


@pytest.mark.slow
def test_another_text_is_never_recommended(tmp_path: Path) -> None:
    """It would be twice as fast, and is wrong from token 5 on, where plain is not nearly tied."""
    status, out, err = bench(
        "tune", *MOCK, *PAYS, "--runner-arg", "diverge-at=5", "--out", tmp_path / "run"
    )
    assert status == 0, err
    assert "no setting proven faster than plain" in out
    assert "not lossless" in out
    run = read_run(tmp_path / "run")
    # Known after the first round, so that no second one was measured.
    assert {sample.round for sample in run.samples} == {1}
    assert run.probes


@pytest.mark.slow
def test_near_ties_are_lossless(tmp_path: Path) -> None:
    near = ["--runner-arg", "diverge-at=5", "--runner-arg", "margin=0.1"]
    status, out, err = bench("tune", *MOCK, *PAYS, *near, "--out", tmp_path / "run")
    assert status == 0, err
    assert "lossless but for near-ties" in out


UNDER_OTHER_OPTIONS = """
runner = "mock"
budget = "1m"
workloads = ["coding"]
prompts = 2
max_tokens = 24

[[arm]]
args = { prefill-ms = 2, step-ms = 4, margin = 0.1 }

[[arm]]
method = "mtp"
draft_tokens = 3
args = { prefill-ms = 1, step-ms = 4, acceptance = 0.9, diverge-at = 5, margin = 0.1 }
"""


@pytest.mark.slow
def test_near_ties_under_other_options_than_plains_are_lossless(tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(UNDER_OTHER_OPTIONS)
    status, out, err = bench("sweep", suite, "--out", tmp_path / "run")
    assert status == 0, err
    assert "lossless but for near-ties" in " ".join(out.split())
    # What all is held against is asked, and plain decoding with the arm's own options.
    assert {probe.arm for probe in read_run(tmp_path / "run").probes} == {
        "none-prefill-ms=2",
        "none-prefill-ms=1",
    }


@pytest.mark.slow
def test_interrupted_and_resumed_it_goes_on_as_it_would_have(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start("tune", *MOCK, *PAYS, "--out", run)
    wait_for_samples(run, 4)  # in the middle of a launch of the first round
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"bench tune --resume {run}" in err
    kept = read_run(run)
    assert kept.sessions[-1].interrupted
    status, out, err = bench("tune", "--resume", run)
    assert status == 0, err
    assert "coding: mtp k=" in out
    done = read_run(run)
    assert done.samples[: len(kept.samples)] == kept.samples
    assert len({sample.key for sample in done.samples}) == len(done.samples)
    last = max(sample.round for sample in done.samples)
    for number in range(1, last + 1):
        measured = {sample.arm for sample in done.samples if sample.round == number}
        assert measured == set(arms_of_round(done, number))
    assert arms_of_round(done, last + 1) == ()


@pytest.mark.slow
def test_what_a_killed_session_took_counts_towards_the_budget(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start("tune", *MOCK, *PAYS, "--out", run)
    wait_for_samples(run, 4)
    process.kill()
    process.communicate(timeout=60)
    kept = read_run(run)
    assert not kept.sessions
    # Less than a launch took: nothing more is measured.
    status, out, err = bench("tune", "--resume", run, "--budget", "0.05s", "--json")
    assert status in (0, 1), err
    assert read_run(run).samples == kept.samples
    shown = sum(one.start_s + one.warmup_s for one in kept.launches)
    shown += sum(one.wall_s for one in kept.samples)
    assert json.loads(out)["spent_s"] >= shown


@pytest.mark.slow
def test_a_budget_of_seconds_ends_with_an_honest_answer_and_more_time_with_a_better(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    begun = time.monotonic()
    status, out, err = bench("tune", *MOCK, *PAYS, "--out", run, "--budget", "1s")
    assert time.monotonic() - begun < 30
    assert status in (0, 1), err
    assert " is 1." not in out
    assert "no setting proven faster" in out or "Nothing to recommend" in out
    before = read_run(run)
    assert not before.sessions[-1].interrupted
    status, out, err = bench("tune", "--resume", run, "--budget", "2m")
    assert status == 0, err
    assert "coding: mtp k=" in out
    assert len(read_run(run).samples) > len(before.samples)


@pytest.mark.slow
def test_settings_that_fail_leave_with_their_reason(tmp_path: Path) -> None:
    fault = ["--runner-arg", "fault=none,refuse-speculation"]
    status, out, err = bench("tune", *MOCK, *PAYS, *fault, "--out", tmp_path / "run")
    assert status == 0, err
    assert "Ruled out" in out
    assert "serves with speculation: none" in " ".join(out.split())
    assert "coding: mtp k=" in out


@pytest.mark.slow
def test_plain_that_fails_is_status_1(tmp_path: Path) -> None:
    fault = ["--runner-arg", "fault=http-500"]
    status, out, _ = bench("tune", *MOCK, *PAYS, *fault, "--out", tmp_path / "run")
    assert status == 1
    assert "Nothing to recommend: plain decoding" in out
    assert not (tmp_path / "run" / "tuned.toml").exists()


GOALS = """
name = "goals"
runner = "mock"
budget = "2m"
goal = "GOAL"
workloads = ["coding"]
prompts = 2
max_tokens = 24

[[arm]]
args = { prefill-ms = 60, step-ms = 6 }

[[arm]]
args = { prefill-ms = 30, step-ms = 10 }

[[arm]]
args = { prefill-ms = 48, step-ms = 4 }

[[arm]]
method = "mtp"
draft_tokens = 4
args = { prefill-ms = 220, step-ms = 6, verify-ms-per-row = 0.1, acceptance = 0.95 }
"""
"""An answer takes 198 ms, and by arm 260 ms, 140 ms and about 260 ms: the first token comes soonest
of the second arm, the last one of the third, and drafts decode fastest after a dear prefill."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("goal", "winner", "words"),
    [
        ("decode", "mtp k=4", "] plain, "),
        ("throughput", "plain, prefill-ms=48", "] plain over the whole request, "),
        ("ttft", "plain, prefill-ms=30", "] as fast as plain to the first token, TTFT "),
    ],
)
def test_each_goal_has_its_own_winner(tmp_path: Path, goal: str, winner: str, words: str) -> None:
    suite, run = tmp_path / "goals.toml", tmp_path / "run"
    suite.write_text(GOALS.replace("GOAL", goal))
    status, out, err = bench("sweep", suite, "--out", run)
    assert status == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("coding: ")]
    assert line.startswith(f"coding: {winner}")
    # However wide the terminal is.
    assert words in " ".join(out.split())
    assert ("Tuned for" in out) == (goal != "decode")
    assert words in (run / "report.md").read_text().replace("\\", "")
    told = json.loads((run / "manifest.json").read_text())["suite"]["goal"]
    assert told == goal
    # What was measured for one goal is no evidence for another; more time for the same is.
    other = "decode" if goal != "decode" else "ttft"
    result = CliRunner().invoke(app, ["tune", "--resume", str(run), "--goal", other])
    assert result.exit_code == 2
    assert f"goal: was {goal}, is now {other}" in " ".join(result.stderr.split())
    again = ["tune", "--resume", str(run), "--goal", goal, "--budget", "3m", "--json"]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 0
    card = json.loads(result.stdout)
    assert card["goal"] == goal
    assert card["workloads"][0]["expected"]["interval"] is not None


def test_options_of_plain_decoding_alone_can_be_tuned() -> None:
    plain = ["tune", "--runner", "mock", "--method", "none", "--dry-run"]
    free = ["--goal", "ttft", "--runner-arg", "prefill-ms=20,30"]
    result = CliRunner().invoke(app, [*plain, *free])
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert "2 arms, of which the first round has 2" in shown
    assert "the best by their TTFT" in shown
    result = CliRunner().invoke(app, [*plain, "--runner-arg", "prefill-ms=20"])
    assert result.exit_code == 2
    assert "unless an option has several values" in " ".join(result.stderr.split())


def test_the_plan_names_the_first_round() -> None:
    result = CliRunner().invoke(app, ["tune", *MOCK, *PAYS, "--dry-run"])
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert "9 arms, of which the first round has 3: none, mtp-k3, mtp-k8" in shown
    assert "12 rounds and 600 s" in shown
    result = CliRunner().invoke(
        app, ["tune", *MOCK, *PAYS, "--budget", "90s", "--dry-run", "--json"]
    )
    plan = json.loads(result.stdout)
    assert plan["first_round"] == ["none", "mtp-k3", "mtp-k8"]
    assert plan["suite"]["budget"] == 90
    assert "launches" not in plan


def test_without_methods_all_that_can_work_are_chosen_from() -> None:
    result = CliRunner().invoke(app, ["tune", "--runner", "mock", "--dry-run", "--json"])
    plan = json.loads(result.stdout)
    methods = {arm["method"] for arm in plan["arms"]}
    # draft-model needs a draft model.
    assert methods == {"none", "mtp", "ngram-simple", "ngram-mod"}
    lengths = {
        method: {arm["draft_tokens"] for arm in plan["arms"] if arm["method"] == method}
        for method in methods
    }
    assert lengths["mtp"] == lengths["ngram-mod"] == {1, 2, 3, 4, 5, 6, 7, 8, 12, 16}
    # It looks up as many tokens as its shortest draft has: a single one is found anywhere.
    assert lengths["ngram-simple"] == {4, 5, 6, 7, 8, 12, 16}


def test_lookups_alone_or_in_a_chain_have_the_lengths_that_are_asked_for() -> None:
    plan = ["tune", "--runner", "mock", "--method", "ngram-simple", "--dry-run", "--json"]
    for asked, expected in (([], {4, 5, 6, 7, 8, 12, 16}), (["--draft-tokens", "1-3"], {1, 2, 3})):
        result = CliRunner().invoke(app, [*plan, *asked])
        assert result.exit_code == 0, result.stderr
        arms = json.loads(result.stdout)["arms"]
        assert {arm["draft_tokens"] for arm in arms} - {None} == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "soon"], "is no time above 0 such as 10m"),
        (["--budget", "0"], "is no time above 0"),
        (["--method", "none"], "nothing to choose from"),
        (["--method", "mpt"], "mtp"),
        (["--method", "mtp", "--goal", "fast"], "--goal: input should be 'decode', 'throughput'"),
        (["--runner", "mock,llama.cpp", "--method", "mtp"], "one runner"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_clear_message(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["tune", "--runner", "mock", *arguments, "--dry-run"])
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flag", "runner"),
    [
        ("--llama-server", "llama.cpp"),
        ("--mlx", "mlx"),
        ("--vllm", "vllm"),
        ("--ollama", "ollama"),
        ("--sglang", "sglang"),
        ("--tgi", "tgi"),
        ("--tensorrt-llm", "tensorrt-llm"),
    ],
)
def test_the_program_of_every_runner_that_has_one_can_be_named(
    flag: str, runner: str, tmp_path: Path
) -> None:
    arguments = ["tune", "--runner", runner, flag, str(tmp_path / "absent"), "--dry-run"]
    result = CliRunner().invoke(app, [*arguments, "--model", str(tmp_path), "--method", "mtp"])
    assert result.exit_code == 2
    assert "No such option" not in result.stderr
    result = CliRunner().invoke(app, ["tune", "--runner", "mock", flag, "a-program", "--dry-run"])
    assert result.exit_code == 2
    assert f"{flag} is for the runner {runner}" in " ".join(result.stderr.split())


def test_draft_models_given_several_times_are_chosen_from(tmp_path: Path) -> None:
    small, tiny = tmp_path / "small.gguf", tmp_path / "tiny.gguf"
    for path in (small, tiny):
        path.write_bytes(b"GGUF")
    arguments = ["tune", "--runner", "mock", "--draft-tokens", "4", "--dry-run"]
    drafts = ["--draft-model", str(small), "--draft-model", str(tiny)]
    result = CliRunner().invoke(app, [*arguments, *drafts])
    assert "draft-model k=4 · draft tiny.gguf" in " ".join(result.stdout.split())
    result = CliRunner().invoke(app, [*arguments, "--json", *drafts])
    assert result.exit_code == 0, result.stderr
    arms = {arm["id"]: arm["draft_model"] for arm in json.loads(result.stdout)["arms"]}
    assert arms["draft-model-k4-small"] == str(small)
    assert arms["draft-model-k4-tiny"] == str(tiny)
    assert arms["mtp-k4"] is None
    # In a sweep they are packagings of one model.
    arguments[0] = "sweep"
    result = CliRunner().invoke(app, [*arguments, "--method", "draft-model", *drafts])
    assert result.exit_code == 2
    assert "both a GGUF file" in " ".join(result.stderr.split())


def test_a_draft_that_cannot_work_is_refused_before_anything_is_launched(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["tune", "--model", str(tmp_path / "none.gguf"), "--draft-model", "no.gguf", "--dry-run"],
    )
    assert result.exit_code == 2


def test_another_run_is_not_resumed_as_a_tuning(tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["--runner", "mock", "--method", "mtp", "--draft-tokens", "2", "--prompts", "1"]
    more = ["--workload", "coding", "--max-tokens", "4", "--repeats", "1", "--out", str(run)]
    assert CliRunner().invoke(app, ["sweep", *arguments, *more]).exit_code == 0
    result = CliRunner().invoke(app, ["tune", "--resume", str(run)])
    assert result.exit_code == 2
    assert "is no run of bench tune" in " ".join(result.stderr.split())
