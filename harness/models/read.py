"""Reads a model file's header, whatever its format."""

from __future__ import annotations

from pathlib import Path

from harness.models.errors import ModelFileError, reading, shown
from harness.models.facts import ModelFacts
from harness.models.gguf_facts import gguf_facts


def read_facts(path: Path) -> ModelFacts:
    """Read a model's header. Of a split GGUF file, any part stands for all of them.

    Raises:
        ModelFileError: missing, not a model file, or truncated.
    """
    with reading(path):
        hugging_face = path.suffix == ".safetensors" or (path / "config.json").is_file()
    if hugging_face:
        raise ModelFileError(
            f"{shown(path)} is a Hugging Face model (safetensors), which cannot be read yet: "
            "give a GGUF file"
        )
    return gguf_facts(path)
