"""Reads a model file's header, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.models.errors import ModelFileError, reading, shown
from harness.models.facts import ModelFacts
from harness.models.folder_facts import folder_facts
from harness.models.gguf import model_files, read_model
from harness.models.gguf_facts import gguf_facts
from harness.models.safetensors import folder_files, is_model_folder
from harness.models.vocabulary import Vocabulary, folder_vocabulary, vocabulary_of


@dataclass(frozen=True)
class ModelFile:
    """What the header of one model file says."""

    path: Path
    facts: ModelFacts
    vocabulary: Vocabulary


def read_model_file(path: Path) -> ModelFile:
    """Read a model's header. Of a split GGUF file, any part stands for all of them.

    A folder with a config.json is a model of Hugging Face or MLX; of its vocabulary nothing is
    claimed where it has no tokenizer.json.

    Raises:
        ModelFileError: missing, not a model file, or truncated.
    """
    with reading(path):
        is_folder = is_model_folder(path)
    if path.suffix == ".safetensors" and not is_folder:
        raise ModelFileError(
            f"{shown(path)} is a part of a Hugging Face or MLX model: give the folder that it is in"
        )
    if is_folder:
        facts = folder_facts(path)
        return ModelFile(path, facts, folder_vocabulary(path, facts.vocabulary))
    header = read_model(path)
    first = model_files(path)[0]
    return ModelFile(path, gguf_facts(header, shown(path)), vocabulary_of(first, header))


def files_of(path: Path) -> list[Path]:
    """All files of a model, in order: of a folder what it holds, of a split file its parts.

    Raises:
        ModelFileError: a part is missing, or the folder cannot be read.
    """
    with reading(path):
        return folder_files(path) if is_model_folder(path) else model_files(path)
