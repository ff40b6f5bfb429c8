"""Reads a model file's header, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.models.cache import CacheLayers
from harness.models.errors import ModelFileError, reading, shown
from harness.models.facts import ModelFacts
from harness.models.folder_facts import FolderModel
from harness.models.gguf import model_files, read_model
from harness.models.gguf_facts import GgufModel
from harness.models.safetensors import folder_files, is_model_folder, read_folder
from harness.models.vocabulary import Vocabulary, folder_vocabulary, vocabulary_of
from harness.models.weights import Weight


@dataclass(frozen=True)
class ModelFile:
    """What the header of one model file says."""

    path: Path
    facts: ModelFacts
    vocabulary: Vocabulary


class Parts(Protocol):
    """What a model consists of; counted when it is asked for."""

    def weights(self) -> tuple[Weight, ...]: ...
    def cache(self) -> tuple[CacheLayers, ...] | None: ...


@dataclass(frozen=True)
class Anatomy:
    """One model file, and its parts."""

    file: ModelFile
    is_known: bool
    """False of an architecture whose tensors may be called otherwise: all count as read."""
    parts: Parts


def read_model_file(path: Path) -> ModelFile:
    """Read a model's header. Of a split GGUF file, any part stands for all of them.

    A folder with a config.json is a model of Hugging Face or MLX; of its vocabulary nothing is
    claimed where it has no tokenizer.json.

    Raises:
        ModelFileError: missing, not a model file, or truncated.
    """
    return read_anatomy(path).file


def read_anatomy(path: Path) -> Anatomy:
    """The same, with what the weights are for and what the layers keep of the context.

    Raises:
        ModelFileError: as `read_model_file`.
    """
    with reading(path):
        is_folder = is_model_folder(path)
    if path.suffix == ".safetensors" and not is_folder:
        raise ModelFileError(
            f"{shown(path)} is a part of a Hugging Face or MLX model: give the folder that it is in"
        )
    if is_folder:
        folder = FolderModel(read_folder(path))
        facts = folder.facts()
        file = ModelFile(path, facts, folder_vocabulary(path, facts.vocabulary))
        return Anatomy(file, folder.is_known, folder)
    header = read_model(path)
    model = GgufModel(header, shown(path))
    first = model_files(path)[0]
    file = ModelFile(path, model.facts(), vocabulary_of(first, header))
    return Anatomy(file, model.is_known, model)


def files_of(path: Path) -> list[Path]:
    """All files of a model, in order: of a folder what it holds, of a split file its parts.

    Raises:
        ModelFileError: a part is missing, or the folder cannot be read.
    """
    with reading(path):
        return folder_files(path) if is_model_folder(path) else model_files(path)
