"""Reads a model file's header, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.models.errors import ModelFileError, reading, shown
from harness.models.facts import ModelFacts
from harness.models.gguf import model_files, read_model
from harness.models.gguf_facts import gguf_facts
from harness.models.vocabulary import Vocabulary, vocabulary_of


@dataclass(frozen=True)
class ModelFile:
    """What the header of one model file says."""

    path: Path
    facts: ModelFacts
    vocabulary: Vocabulary


def read_model_file(path: Path) -> ModelFile:
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
    header = read_model(path)
    first = model_files(path)[0]
    return ModelFile(path, gguf_facts(header, shown(path)), vocabulary_of(first, header))
