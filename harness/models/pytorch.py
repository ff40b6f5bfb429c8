"""The tensors of a PyTorch file (`pytorch_model.bin`, `medusa_lm_head.pt`), without PyTorch.

Many published EAGLE and Medusa heads are such files. The list of tensors in them is a pickle, which
could run anything: only what a list of tensors is made of is let through.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path

from harness.models.errors import ModelFileError, reading, shown
from harness.models.tensors import Tensor

SUFFIXES = (".bin", ".pt")
LEFT_OUT = frozenset(
    {"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt"}
)
"""Left behind by training; vLLM leaves them out too (`filter_files_not_needed_for_inference`)."""

LONGEST_LIST = 100_000_000
"""Bytes."""

_STORAGES = {
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "DoubleStorage": ("F64", 8),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
"""Name in the pickle -> type as safetensors calls it, and bytes of one number."""


def is_pytorch_file(path: Path) -> bool:
    return path.suffix in SUFFIXES and path.name not in LEFT_OUT


def pytorch_tensors(path: Path) -> list[Tensor]:
    """The tensors of a file.

    Raises:
        ModelFileError: it cannot be read, or is no list of tensors in a zip archive.
    """
    with reading(path):
        try:
            with zipfile.ZipFile(path) as archive:
                entry = next(i for i in archive.infolist() if i.filename.endswith("/data.pkl"))
                if entry.file_size > LONGEST_LIST:
                    raise pickle.UnpicklingError
                content = _Reader(BytesIO(archive.read(entry))).load()
        except (zipfile.BadZipFile, StopIteration):
            raise ModelFileError(
                f"{shown(path)} is no PyTorch file, is cut off, or is from before PyTorch 1.6"
            ) from None
        except Exception as error:  # A damaged pickle can raise anything.
            if isinstance(error, OSError):
                raise
            raise ModelFileError(
                f"{shown(path)} cannot be read without running it: convert it to safetensors"
            ) from None
    if not isinstance(content, Mapping):
        raise ModelFileError(f"{shown(path)} holds no list of tensors")
    return [
        Tensor(str(name), value.type, value.shape, prod(value.shape) * value.width)
        for name, value in content.items()
        if isinstance(value, _Stored)
    ]


@dataclass(frozen=True)
class _Stored:
    type: str
    width: int
    """Bytes of one number."""
    shape: tuple[int, ...] = ()


class _Reader(pickle.Unpickler):
    """Makes tensors of no data, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _rebuilt
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _parameter
        if module == "torch" and name in _STORAGES:
            return _Stored(*_STORAGES[name])
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: object) -> _Stored:
        if isinstance(pid, tuple) and len(pid) > 1 and isinstance(pid[1], _Stored):
            return pid[1]
        raise pickle.UnpicklingError("storage")


def _rebuilt(storage: _Stored, _offset: object, shape: tuple[int, ...], *_: object) -> _Stored:
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise pickle.UnpicklingError("shape")
    return _Stored(storage.type, storage.width, tuple(shape))


def _parameter(tensor: _Stored, *_: object) -> _Stored:
    return tensor
