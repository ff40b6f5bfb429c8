"""The packagings that one model comes in: each runner reads some of them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

CONFIG = "config.json"


class Packaging(StrEnum):
    """How a model lies on disk; the value is its key in a suite."""

    GGUF = "gguf"
    """A file of llama.cpp's; of a split model, any of its files."""
    HF = "hf"
    """A folder of Hugging Face's: config.json and safetensors files."""
    MLX = "mlx"
    """The same with weights as only mlx-lm reads them: quantized by MLX."""

    @property
    def words(self) -> str:
        """For a message: 'a GGUF file'."""
        return _WORDS[self]


_WORDS = {
    Packaging.GGUF: "a GGUF file",
    Packaging.HF: "a Hugging Face folder",
    Packaging.MLX: "an MLX folder",
}


def packaging_of(path: Path) -> Packaging | None:
    """What lies at `path`; None where it is neither a file nor a folder with a config.json.

    An MLX folder that is not quantized is one of Hugging Face's too.
    """
    try:
        if not path.is_dir():
            return Packaging.GGUF if path.is_file() else None
        text = (path / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):  # Whoever reads it for its facts says so.
        return Packaging.HF
    own = config.get("quantization") if isinstance(config, dict) else None
    quantized = isinstance(own, dict) and "bits" in own
    return Packaging.MLX if quantized else Packaging.HF
