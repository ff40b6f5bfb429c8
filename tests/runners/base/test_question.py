from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from runners.base import question
from runners.base.contract import RunnerError
from runners.base.question import ask, describe_child


def run(code: str, timeout_s: float = 30) -> question.Answer:
    return ask([sys.executable, "-c", code], env=os.environ, timeout_s=timeout_s)


def test_both_outputs_and_the_status() -> None:
    code = "import sys; print('a\\nb'); print('c', file=sys.stderr); sys.exit(3)"
    assert run(code) == question.Answer(3, "a\nb\n", "c\n")
    assert run("print(input() if input else 1)").returncode == 1  # Nothing can be read.


def test_a_signal_is_told_as_such() -> None:
    killed = run("import os; os.kill(os.getpid(), 4)")
    assert killed.returncode == -signal.SIGILL


def test_the_environment_is_the_given_one() -> None:
    code = [sys.executable, "-c", "import os; print(os.environ.get('HOME'), os.environ['X'])"]
    assert ask(code, env={"X": "7"}, timeout_s=30).out == "None 7\n"


def test_what_is_no_program(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELF no")
    garbage.chmod(0o755)
    with pytest.raises(RunnerError, match="cannot be started: Exec format error"):
        ask([str(garbage)], env=os.environ, timeout_s=30)
    # A program of its own that ends with the same status has been started.
    assert run("import sys; sys.exit(127)").returncode == 127


@pytest.mark.slow
def test_one_that_hangs_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(RunnerError, match=r"had no end after 3 s"):
        run(code, timeout_s=3)
    assert not psutil.Process().children(recursive=True)
    assert _is_gone(int(note.read_text())) or sys.platform != "linux"


def test_one_that_never_stops_talking_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "LONGEST_ANSWER", 1 << 20)
    with pytest.raises(RunnerError, match="says more than 1 MiB"):
        run("while True: print('y' * 1000)")
    assert not psutil.Process().children(recursive=True)


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.01)
    return False


def child(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; assert sys.argv[1] == '--describe'\n{code}"]


def test_a_child_describes_its_library() -> None:
    chatty = 'print(\'loading\'); print(\'{"version": "1.2", "devices": []}\')'
    assert describe_child(child(chatty), timeout_s=20) == {"version": "1.2", "devices": []}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('no libcudart')", "ImportError: no libcudart"),
        ("import os; os.kill(os.getpid(), 4)", "was killed by SIGILL"),
        ("print('hello')", "says nothing that can be read"),
        ("pass", "says nothing that can be read"),
        ("print('[1]')", r"says \[1\] of itself"),
    ],
)
def test_a_child_that_cannot_describe_it(code: str, words: str) -> None:
    with pytest.raises(RunnerError, match=words):
        describe_child(child(code), timeout_s=20)
