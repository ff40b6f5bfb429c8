from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.base.environments import environment_python


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "decodebench" / "environments"


def environment(folder: Path, *, made_at: int, ready: bool = True, python: bool = True) -> Path:
    executable = folder / "bin" / "python"
    executable.parent.mkdir(parents=True)
    if python:
        executable.write_text("")
    if ready:
        (folder / ".ready").write_text("")
        os.utime(folder / ".ready", (made_at, made_at))
    return executable


def test_the_newest_that_is_whole(made: Path) -> None:
    assert environment_python("vllm") is None
    environment(made / "vllm-1", made_at=100)
    newest = environment(made / "vllm-0", made_at=200)
    environment(made / "vllm-half", made_at=300, ready=False)
    environment(made / "vllm-empty", made_at=400, python=False)
    environment(made / "mlx-1", made_at=500)
    environment(made / "vllmx-1", made_at=600)
    assert environment_python("vllm") == newest
    assert environment_python("v") is None


def test_a_python_that_points_nowhere_is_none(made: Path) -> None:
    (made / "vllm-1" / "bin").mkdir(parents=True)
    (made / "vllm-1" / ".ready").write_text("")
    (made / "vllm-1" / "bin" / "python").symlink_to("/nowhere/python")
    assert environment_python("vllm") is None
