"""`.ci/runner` with a pip that only pretends: what is built when, and what is said of failures."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "runner"
PIP = """
import os, pathlib, sys
log = pathlib.Path(os.environ["ASKED"])
with log.open("a") as file:
    print(sys.argv[1], file=file)
if sys.argv[1] == "wheel":
    if "FAILS" in os.environ:
        sys.exit(os.environ["FAILS"])
    folder = pathlib.Path(sys.argv[sys.argv.index("--wheel-dir") + 1])
    (folder / "a_runner-1.0-py3-none-any.whl").write_text("")
else:
    assert pathlib.Path(sys.argv[-1]).is_file()
"""


@dataclass(frozen=True)
class Machine:
    folder: Path

    def run(self, **settings: str) -> subprocess.CompletedProcess[str]:
        home = {"XDG_CACHE_HOME": str(self.folder / "a cache"), "CXX": "cat"}
        environment = {**os.environ, **home, "ASKED": str(self.folder / "asked"), **settings}
        command = ["bash", str(SCRIPT), str(self.folder / "venv/bin/python"), "a-runner", "1.0"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def asked(self) -> list[str]:
        asked = (self.folder / "asked").read_text().split()
        (self.folder / "asked").unlink()
        return asked

    def note(self) -> str | None:
        note = self.folder / "venv/runners-not-built/a-runner"
        return note.read_text() if note.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    venv.create(tmp_path / "venv", symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    pip = tmp_path / "venv/lib" / version / "site-packages/pip"
    pip.mkdir()
    (pip / "__init__.py").write_text("")
    (pip / "__main__.py").write_text(PIP)
    return Machine(tmp_path)


def test_built_once_and_again_where_only_a_leftover_is_there(machine: Machine) -> None:
    assert machine.run().returncode == 0
    assert machine.asked() == ["wheel", "install"]
    assert machine.run().returncode == 0
    assert machine.asked() == ["install"]
    (wheel,) = machine.folder.rglob("*.whl")
    wheel.unlink()
    assert any(wheel.parent.iterdir())  # The log of the build.
    assert machine.run().returncode == 0
    assert machine.asked() == ["wheel", "install"]
    assert machine.run().returncode == 0
    assert machine.asked() == ["install"]
    (folder,) = (machine.folder / "a cache/decodebench/wheels/a-runner").iterdir()
    assert folder == wheel.parent


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CXX": "no-such-compiler"}, "needs a C++ compiler to be built"),
        ({"FAILS": "CMake Error: no   CUDA"}, "could not be built: CMake Error: no CUDA"),
        ({"FAILS": "Killed"}, "could not be built: Killed"),
    ],
)
def test_a_failure_leaves_a_note_and_no_half_build(
    machine: Machine, settings: dict[str, str], words: str
) -> None:
    failed = machine.run(**settings)
    assert failed.returncode == 1
    assert f"runner not installed: a-runner 1.0 {words}" in failed.stderr
    assert machine.note() == f"a-runner 1.0 {words}\n"
    assert not [path for path in machine.folder.rglob("a-runner/*") if path.is_dir()]
    # A compiler behind a launcher is one as well.
    assert machine.run(CXX="cat g++").returncode == 0
    assert machine.note() is None
