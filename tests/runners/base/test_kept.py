"""Answers kept on disk, and what a damaged or a forbidden cache does: nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.base.environments import environment_python
from runners.base.kept import cache_folder, keep, read_kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "decodebench"


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_said_comes_back(stamp: str, said: str) -> None:
    keep("x", stamp, said)
    assert read_kept("x", stamp) == said
    assert read_kept("x", f"{stamp} ") is None
    assert read_kept("y", stamp) is None
    keep("x", stamp, "later")
    assert read_kept("x", stamp) == "later"


def test_only_whole_files_lie_there(cache: Path) -> None:
    keep("x", "a", "b")
    keep("x", "a", "c")
    (entry,) = (cache / "x").iterdir()
    assert entry.suffix == ".json"


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"stamp": "other", "said": "x"}', "[" * 100_000]
)
def test_a_damaged_entry_is_none(cache: Path, text: str) -> None:
    keep("x", "a", "b")
    (entry,) = (cache / "x").iterdir()
    entry.write_text(text)
    assert read_kept("x", "a") is None
    entry.write_text(json.dumps({"stamp": "a", "said": 7}))
    assert read_kept("x", "a") is None
    entry.write_bytes(b"\xff\xfe")
    assert read_kept("x", "a") is None


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    keep("x", "a", "b")
    assert read_kept("x", "a") is None


def test_a_write_that_breaks_off_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    keep("x", "a", "b")
    assert list((cache / "x").iterdir()) == []


def test_a_path_that_is_no_text(cache: Path) -> None:
    stamp = os.fsdecode(b"/opt/\xff/llama-server")
    keep("x", stamp, "said")
    assert read_kept("x", stamp) == "said"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", homeless)
    keep("x", "a", "b")
    assert read_kept("x", "a") is None
    assert environment_python("vllm") is None


def test_where_it_lies_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in (None, ""):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if value is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", value)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache_folder() == tmp_path / ".cache" / "decodebench"
    assert os.environ["XDG_CACHE_HOME"] == ""
