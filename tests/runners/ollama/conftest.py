"""The fake program, and a small file that passes for a model."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from tests.runners.ollama import fake_ollama
from tests.runners.ollama.fake_ollama import Faults

Install = Callable[[Faults], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes an `ollama` with these faults; its path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    return lambda faults: fake_program(tmp_path / "bin", faults)


def fake_program(folder: Path, faults: Faults) -> str:
    """Writes an `ollama` with these faults; its path."""
    said = json.dumps(asdict(faults))
    script = folder / "ollama"
    folder.mkdir(exist_ok=True)
    script.write_text(
        f"#!{sys.executable}\nimport os, runpy\nos.environ['FAKE_OLLAMA'] = {said!r}\n"
        f"runpy.run_path({fake_ollama.__file__!r}, run_name='__main__')\n"
    )
    script.chmod(0o755)
    return str(script)


def gguf(path: Path, architecture: str) -> Path:
    """The header of a GGUF with one value."""
    key, value = b"general.architecture", architecture.encode()
    path.write_bytes(
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
        + struct.pack("<Q", len(key))
        + key
        + struct.pack("<IQ", 8, len(value))
        + value
    )
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return gguf(tmp_path / "a model.gguf", "llama")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []
