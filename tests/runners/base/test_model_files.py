"""Folders where a file is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, UsageError
from runners.base.model_files import refuse_folders
from runners.base.speculation import Speculation
from runners.registry import make_runner


def test_folders_are_refused_and_named(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    with pytest.raises(UsageError, match=r"--draft-model .*: it reads GGUF files"):
        refuse_folders(LaunchSpec(file, Speculation("draft-model", 2, tmp_path)), "it")
    refuse_folders(LaunchSpec(file, Speculation("draft-model", 2, file)), "it")


def test_llama_cpp_refuses_them() -> None:
    with pytest.raises(UsageError, match=r"--model .*: llama\.cpp reads GGUF files"):
        make_runner("llama.cpp").check(LaunchSpec(Path(__file__).parent))
