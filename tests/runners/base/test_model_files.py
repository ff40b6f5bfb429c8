"""Folders where a file is wanted, and files where a folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, UsageError
from runners.base.model_files import model_folder, refuse_folders
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


def test_the_path_of_a_folder_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-model").mkdir()
    Path("-model", "config.json").write_text("{}")
    assert model_folder(Path("-model"), "--model", "it", "MLX") == str(tmp_path / "-model")


def test_what_is_no_folder_of_a_model(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    for path, words in (
        (None, "it needs a model folder: --draft-model FOLDER"),
        (tmp_path / "none", r"--draft-model .*none: there is no such folder"),
        (tmp_path, r"it reads folders with a config\.json and safetensors files \(MLX\), not this"),
        (file, "not this"),
    ):
        with pytest.raises(UsageError, match=words):
            model_folder(path, "--draft-model", "it", "MLX")
