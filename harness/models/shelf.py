"""The model files of a plan: each is read once, by whoever asks for it first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.models.read import ModelFile, read_model_file


class Shelf:
    """Model files by their paths."""

    def __init__(self, read: Callable[[Path], ModelFile] = read_model_file) -> None:
        self._read = read
        self._files: dict[str, ModelFile] = {}

    def file(self, path: str) -> ModelFile:
        """The file at `path`.

        Raises:
            ModelFileError: missing, not a model file, or truncated.
        """
        if path not in self._files:
            self._files[path] = self._read(Path(path))
        return self._files[path]
