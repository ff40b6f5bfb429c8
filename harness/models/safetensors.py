"""The files of a model folder, Hugging Face or MLX: configuration and headers of the tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models.errors import ModelFileError, reading, shown
from harness.models.pytorch import is_pytorch_file, pytorch_tensors
from harness.models.tensors import Tensor

CONFIG = "config.json"
SUFFIX = ".safetensors"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library too."""


def is_model_folder(path: Path) -> bool:
    return (path / CONFIG).is_file()


def folder_files(path: Path) -> list[Path]:
    """The files that make up the model, by name: weights, configuration and tokenizer."""
    return sorted(
        file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
    )


@dataclass(frozen=True)
class Folder:
    """What the files say, all weights' headers together."""

    format: str
    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    chat_template: bool


def read_folder(path: Path) -> Folder:
    """Read a model folder's configuration and headers.

    Raises:
        ModelFileError: a file is missing or damaged, or there are no weights.
    """
    name = shown(path)
    with reading(path):
        files = folder_files(path)
        config = read_json(path / CONFIG)
        template = (path / "chat_template.jinja").is_file() or _has_template(path)
    if not isinstance(config, dict):
        raise ModelFileError(f"{name}/{CONFIG} is no JSON object")
    tensors = [t for file in files if file.suffix == SUFFIX for t in _tensors(file)]
    if tensors:
        return Folder("safetensors", config, tuple(tensors), template)
    tensors = [t for file in files if is_pytorch_file(file) for t in pytorch_tensors(file)]
    if tensors:
        return Folder("PyTorch", config, tuple(tensors), template)
    raise ModelFileError(f"{name} holds no {SUFFIX} files: a configuration without weights")


def read_json(path: Path) -> object:
    """A file's content; None where it is no JSON.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return content


def _has_template(path: Path) -> bool:
    try:
        settings = read_json(path / "tokenizer_config.json")
    except OSError:
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))


def _tensors(path: Path) -> list[Tensor]:
    """The header's list: eight bytes of its length, then JSON.

    Raises:
        ModelFileError: the file is damaged or cut off.
    """
    with reading(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ModelFileError(f"{shown(path)} is no safetensors file, or is cut off")
        header = file.read(length)
    try:
        found = [
            Tensor(
                str(name),
                str(entry["dtype"]),
                tuple(int(length) for length in entry["shape"]),
                int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
            )
            for name, entry in json.loads(header).items()
            if name != "__metadata__"
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ModelFileError(f"{shown(path)} is damaged: its header cannot be read") from None
    if any(tensor.bytes < 0 or min(tensor.shape, default=0) < 0 for tensor in found):
        raise ModelFileError(f"{shown(path)} is damaged: a tensor has a negative size")
    if sum(tensor.bytes for tensor in found) > size - 8 - length:
        raise ModelFileError(f"{shown(path)} is cut off: tensors go beyond its {size:,} bytes")
    return found
