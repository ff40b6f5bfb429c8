"""`.ci/environment` without a network: what is made when, and what is said of failures."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from runners.base.environments import environment_python

SCRIPT = Path(__file__).parents[2] / ".ci" / "environment"


def run(folder: Path, requirement: str, repair: str = "") -> subprocess.CompletedProcess[str]:
    script = folder / "scripts" / SCRIPT.name
    contents = script.with_name("environments")
    contents.mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPT, script)
    (contents / "a-runner.txt").write_text(requirement)
    if repair:
        (contents / "a-runner.repair").write_text(f"#!/bin/sh\n{repair}\n")
        (contents / "a-runner.repair").chmod(0o755)
    settings = {"XDG_CACHE_HOME": str(folder / "a cache"), "PIP_NO_INDEX": "1"}
    return subprocess.run(
        ["bash", str(script), str(folder / "venv/bin/python"), "a-runner"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_made_once_and_told_to_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    note = tmp_path / "venv/environments/a-runner"
    reason = tmp_path / "venv/runners-not-built/a-runner"

    failed = run(tmp_path, "no-such-package-at-all==1")
    assert failed.returncode == 1
    assert "a-runner could not be installed: ERROR: " in reason.read_text()
    assert not note.exists()
    assert not list((tmp_path / "a cache").rglob("pyvenv.cfg"))

    # pip is there already, so that nothing is downloaded.
    assert run(tmp_path, "pip").returncode == 0
    assert not reason.exists()
    python = Path(note.read_text().strip())
    prefix = subprocess.run(
        [python, "-c", "import pip, sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(prefix) == python.parents[1]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    assert environment_python("a-runner") == python

    made = python.parents[1].stat().st_mtime_ns
    assert run(tmp_path, "pip").returncode == 0
    assert python.parents[1].stat().st_mtime_ns == made
    # What has no marker is a leftover, and made again.
    (python.parents[1] / ".ready").unlink()
    assert run(tmp_path, "pip").returncode == 0
    assert (python.parents[1] / ".ready").exists()


@pytest.mark.slow
def test_a_repair_is_part_of_what_is_made(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    reason = tmp_path / "venv/runners-not-built/a-runner"
    failed = run(tmp_path, "pip", "echo Error: nothing to repair; exit 3")
    assert failed.returncode == 1
    assert reason.read_text().strip().endswith("Error: nothing to repair")
    assert run(tmp_path, "pip", 'touch "$(dirname "$1")/repaired"').returncode == 0
    python = Path((tmp_path / "venv/environments/a-runner").read_text().strip())
    assert python.with_name("repaired").exists()
    assert not reason.exists()
