"""The GitHub action: its inputs, and its steps as bash runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.cli.__main__ import app

ROOT = Path(__file__).parents[1]
STEPS = ROOT / ".ci/action"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))

AB_OPTIONS = {
    option
    for parameter in typer.main.get_group(app).commands["ab"].params
    for option in parameter.opts
}

FAKE = f"""#!{sys.executable}
import os, pathlib, sys
folder = pathlib.Path(os.environ["FAKE_FOLDER"])
command = sys.argv[1]
(folder / command).write_text("\\0".join(sys.argv[2:]))
seen = " ".join(name for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY") if name in os.environ)
(folder / (command + ".environment")).write_text(seen)
if command == "ab" and "FAKE_NO_RUN" not in os.environ:
    run = pathlib.Path(next(a for a in sys.argv if a.startswith("--out=")).removeprefix("--out="))
    run.mkdir()
    (run / "samples.jsonl").write_text("{{}}")
sys.exit(int(os.environ["FAKE_" + command.upper()]))
"""

HOSTILE = '$(touch "$FAKE_FOLDER/pwned") `touch pwned` \'; touch pwned; \' " && touch pwned #'


def test_every_input_is_used_and_every_used_one_declared() -> None:
    text = (ROOT / "action.yml").read_text("utf-8")
    used = set(re.findall(r"inputs\.([A-Za-z0-9_-]+)", text))
    assert used == set(ACTION["inputs"])
    for name, told in ACTION["inputs"].items():
        assert told["description"], name
        assert "default" in told or told.get("required"), name


def test_outputs_and_conditions_name_steps_that_are_there() -> None:
    text = (ROOT / "action.yml").read_text("utf-8")
    ids = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([a-z]+)\.", text)) <= ids


def test_no_input_is_pasted_into_shell_text() -> None:
    """`${{ … }}` in `run` is replaced before bash reads it: an input could then be a command."""
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    assert len(scripts) == 3
    for script in scripts:
        assert "${{" not in script
    assert "eval" not in STEPS.read_text("utf-8")


def test_every_variable_of_the_script_is_given_by_a_step() -> None:
    given = {name for step in ACTION["runs"]["steps"] for name in step.get("env", {})}
    read = set(re.findall(r"\b(BENCH_[A-Z_]+)", STEPS.read_text("utf-8")))
    assert read - {"BENCH_COMMAND"} == given


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    (tmp_path / "bench").write_text(FAKE)
    (tmp_path / "bench").chmod(0o755)
    return tmp_path


def measure(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    values = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "BENCH_COMMAND": str(folder / "bench"),
        "BENCH_BASELINE_RUNNER": "mock",
        "BENCH_CANDIDATE_RUNNER": "mock",
        "BENCH_BASELINE_ARGS": "",
        "BENCH_CANDIDATE_ARGS": "",
        "BENCH_MODEL": "",
        "BENCH_THRESHOLD": "5%",
        "BENCH_ARGS": "",
        "FAKE_FOLDER": str(folder),
        "FAKE_AB": "0",
        "FAKE_GATE": "0",
    }
    return subprocess.run(
        [str(STEPS), "measure"],
        env={**values, **changes},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "outputs").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_each_line_is_one_option_and_none_a_command(fake: Path) -> None:
    done = measure(
        fake,
        BENCH_BASELINE_RUNNER=f"llama.cpp={HOSTILE}",
        BENCH_MODEL=HOSTILE,
        BENCH_CANDIDATE_ARGS=f"threads=2\r\n\n  \nchat-template={HOSTILE}\nno-mmap",
        BENCH_ARGS="--method=ngram-mod\n--prompts=2",
    )
    assert done.returncode == 0, done.stderr
    given = (fake / "ab").read_text().split("\0")
    run = outputs(fake)["run"]
    assert given == [
        f"--baseline-runner=llama.cpp={HOSTILE}",
        "--candidate-runner=mock",
        "--threshold=5%",
        f"--out={run}",
        f"--model={HOSTILE}",
        "--candidate-arg=threads=2",
        f"--candidate-arg=chat-template={HOSTILE}",
        "--candidate-arg=no-mmap",
        "--method=ngram-mod",
        "--prompts=2",
    ]
    assert (fake / "gate").read_text().split("\0") == [
        run,
        "--force",
        "--threshold=5%",
        f"--junit={run}/junit.xml",
    ]
    assert list(fake.rglob("pwned*")) == []


def test_the_gate_alone_writes_to_the_summary(fake: Path) -> None:
    measure(fake)
    assert (fake / "ab.environment").read_text() == ""
    assert (fake / "gate.environment").read_text() == "GITHUB_ACTIONS GITHUB_STEP_SUMMARY"


@pytest.mark.parametrize(
    ("ab", "gate", "status", "verdict"),
    [
        (0, 0, 0, "passed"),
        (1, 1, 1, "regressed"),
        (3, 3, 3, "inconclusive"),
        (0, 2, 2, "failed"),
        (2, 0, 2, "failed"),
        (130, 0, 130, "failed"),
    ],
)
def test_it_ends_as_the_gate_does(
    fake: Path, ab: int, gate: int, status: int, verdict: str
) -> None:
    done = measure(fake, FAKE_AB=str(ab), FAKE_GATE=str(gate))
    assert done.returncode == status
    assert outputs(fake)["verdict"] == verdict


def test_without_a_run_nothing_has_passed(fake: Path) -> None:
    done = measure(fake, FAKE_NO_RUN="1")
    assert done.returncode == 2
    assert outputs(fake) == {"verdict": "failed"}


@pytest.mark.parametrize("extras", ["a]; touch pwned", "llama-cpp\n$(touch pwned)", "-e ."])
def test_extras_are_names(extras: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(STEPS), "install"],
        env={
            "PATH": os.environ["PATH"],
            "RUNNER_TEMP": str(tmp_path),
            "BENCH_EXTRAS": extras,
            "BENCH_PYTHON": sys.executable,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "names parted by commas" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_of_this_python_and_these_versions(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(STEPS), "cache"],
        env={
            **os.environ,
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "outputs"),
            "BENCH_PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = outputs(tmp_path)
    assert told["folder"]
    assert re.fullmatch(r"cp3\d+-[a-z0-9]+-\w+-[0-9a-f]{16}", told["key"])


@pytest.mark.slow
def test_the_real_commands_with_the_mock(tmp_path: Path) -> None:
    command = tmp_path / "bench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness.cli.__main__ "$@"\n')
    command.chmod(0o755)
    done = measure(
        tmp_path,
        PYTHONPATH=str(ROOT),
        BENCH_THRESHOLD="60%",
        BENCH_CANDIDATE_ARGS="step-ms=30",
        BENCH_BASELINE_ARGS="step-ms=5",
        BENCH_ARGS="--workload=coding\n--prompts=2\n--max-tokens=32\n--repeats=4",
    )
    assert (done.returncode, outputs(tmp_path)["verdict"]) == (1, "regressed"), done.stdout
    run = Path(outputs(tmp_path)["run"])
    assert (run / "report.md").exists()
    assert "<failure" in (run / "junit.xml").read_text()
    assert (tmp_path / "summary").read_text().count("REGRESSED") == 1
    assert "::error" in done.stdout + done.stderr


def documented_workflows() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text("utf-8"), re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def test_documented_workflows_give_inputs_that_exist() -> None:
    used = 0
    for workflow in documented_workflows():
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), step
                if "/decodebench@" in step.get("uses", ""):
                    used += 1
                    assert set(step["with"]) <= set(ACTION["inputs"])
                    for line in step["with"].get("args", "").splitlines():
                        assert line.split("=")[0] in AB_OPTIONS, line
    assert used == 2


def test_every_input_is_documented() -> None:
    text = (ROOT / "docs/ci.md").read_text("utf-8")
    for name in ACTION["inputs"]:
        assert f"`{name}`" in text, name
