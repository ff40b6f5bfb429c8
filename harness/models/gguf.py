"""The header of a GGUF file: metadata and the list of tensors, without touching the weights.

The `gguf` package's own reader makes numpy views of every item of every array: 4.9 s and 194 MB
for a vocabulary of 49,152 tokens (2 cores). This one steps over the arrays that nobody asks for
and takes the formats' tables from the package. Format: the GGUF specification of ggml.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.models.errors import ModelFileError, reading, shown

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

Value = bool | int | float | str | tuple[bool | int | float, ...]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_ENTRIES = 1 << 16
"""Of metadata, and of tensors: about 50 times what the largest models have."""
MOST_STRINGS = 1 << 23
"""In all arrays of a header together: stepping over them takes a second or two."""
LONGEST_NAME = 1 << 10
LONGEST_TEXT = 1 << 12
"""Characters kept of a text value (a chat template is longer, and is only asked for by key)."""
LONGEST_ARRAY = 1 << 12
"""Arrays of numbers up to this length are kept: one value per layer, for instance."""
MOST_DIMENSIONS = 4

_STRING, _ARRAY = 8, 9  # GGUFValueType
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True)
class Tensor:
    """One tensor of the list. `shape` is in ggml's order, the row's length first."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    """From the start of the file's tensor data."""
    bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Strings:
    """Where an array of strings lies in a file; each is its length, eight bytes, and its text."""

    begin: int
    end: int
    """In bytes from the start of the file."""
    count: int
    order: Literal["<", ">"]


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself. Arrays of strings and long arrays are only counted."""

    version: int
    values: dict[str, Value]
    lengths: dict[str, int]
    """Items of every array, kept or not."""
    strings: dict[str, Strings]
    """Every array of strings, for who wants to read one after all."""
    tensors: tuple[Tensor, ...]
    data_offset: int
    """Where the tensor data starts, in bytes from the start of the file."""


def read_model(path: Path) -> Header:
    """The header of a model, all parts of a split file (`-00001-of-00003.gguf`) together.

    Metadata and `data_offset` are those of the first part.

    Raises:
        ModelFileError: a part is missing, not a GGUF file, or cut off.
    """
    with reading(path):
        parts = model_files(path)
    headers = [read_header(part) for part in parts]
    first = headers[0]
    count = first.values.get("split.count", 1)
    if isinstance(count, int) and count > 1 and len(headers) != count:
        raise ModelFileError(
            f"{shown(path)} is one of {count} parts of a model, but its name does not end in "
            f"-00001-of-{count:05}.gguf: give the parts their original names"
        )
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    return replace(first, tensors=tensors)


def read_header(path: Path) -> Header:
    """The header of one file, held against the file's length.

    Raises:
        ModelFileError: missing, not a GGUF file, damaged, or cut off.
    """
    with reading(path):
        if path.is_dir():
            raise ModelFileError(f"{shown(path)} is a folder without a config.json, and no model")
        if not path.exists():
            raise ModelFileError(f"{shown(path)} does not exist")
        if not path.is_file():
            raise ModelFileError(f"{shown(path)} is not a regular file")
        with path.open("rb") as file:
            start = file.read(16)
            if start[:4] != MAGIC:
                begins = f"it starts with {start!r}" if start else "it is empty"
                raise ModelFileError(f"{shown(path)} is not a GGUF file: {begins}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, shown(path)).header()


def model_files(path: Path) -> list[Path]:
    """All files of the model that `path` is, or is a part of, in order.

    Raises:
        ModelFileError: a part is missing.
    """
    found = _PART.search(path.name)
    if found is None:
        return [path]
    count = int(found.group(2))
    stem = path.name[: found.start()]
    parts = []
    for number in range(1, count + 1):
        part = path.with_name(f"{stem}-{number:05}-of-{count:05}.gguf")
        if not part.exists():
            raise ModelFileError(
                f"{shown(part)} does not exist: part {number} of the {count} of this model"
            )
        parts.append(part)
    return parts or [path]


class _Reader:
    """A place in the header, moving forward. Everything read is checked against the length."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data = data
        self._name = name
        self._at = len(MAGIC)
        self._order: Literal["<", ">"] = "<"
        self._stepped_over = 0
        self._strings: dict[str, Strings] = {}

    def header(self) -> Header:
        version = self._version()
        tensor_count, entry_count = self._u64(), self._u64()
        for count, what in ((tensor_count, "tensors"), (entry_count, "metadata entries")):
            if count > MOST_ENTRIES:
                raise self._damaged(f"its header claims {count} {what}")
        values, lengths = self._metadata(entry_count)
        tensors = self._tensors(tensor_count)
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._damaged(f"its general.alignment is {alignment!r:.40}, no power of two")
        data_offset = -(-self._at // alignment) * alignment
        end = max((data_offset + tensor.offset + tensor.bytes for tensor in tensors), default=0)
        if end > len(self._data):
            raise ModelFileError(
                f"{self._name} is cut off: its header describes {end} bytes, "
                f"the file has {len(self._data)}; download it again"
            )
        return Header(version, values, lengths, self._strings, tensors, data_offset)

    def _version(self) -> int:
        version = self._u32()
        if version & 0xFFFF == 0:  # written on a big-endian machine
            self._order = ">"
            self._at -= 4
            version = self._u32()
        if version not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            raise ModelFileError(
                f"{self._name} has GGUF version {version}; versions {known} can be read"
            )
        return version

    def _metadata(self, count: int) -> tuple[dict[str, Value], dict[str, int]]:
        values: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(count):
            key = self._short_text("a metadata key")
            if key in values or key in lengths:
                raise self._damaged(f"it has the metadata key {key!r:.80} twice")
            kind = self._u32()
            if kind == _ARRAY:
                array, lengths[key] = self._array(key)
                if array is not None:
                    values[key] = array
            elif kind == _STRING:
                values[key] = self._text()
            else:
                values[key] = self._value(self._scalar(kind, key))
        return values, lengths

    def _array(self, key: str) -> tuple[tuple[bool | int | float, ...] | None, int]:
        """The items where they are few and numbers, and their count."""
        kind, count = self._u32(), self._u64()
        if kind == _STRING:
            begin = self._at
            self._skip_strings(count)
            self._strings[key] = Strings(begin, self._at, count, self._order)
            return None, count
        code = self._scalar(kind, key)
        begin = self._move(count * struct.calcsize(f"<{code}"))
        if count > LONGEST_ARRAY:
            return None, count
        return struct.unpack_from(f"{self._order}{count}{code}", self._data, begin), count

    def _skip_strings(self, count: int) -> None:
        self._stepped_over += count
        if count * 8 > len(self._data) - self._at:
            raise self._cut_off()
        if self._stepped_over > MOST_STRINGS:
            raise self._damaged(f"its header claims an array of {count} strings")
        # The one hot loop: a vocabulary and its merges are up to a million strings.
        data, at, size = self._data, self._at, len(self._data)
        unpack = struct.Struct(f"{self._order}Q").unpack_from
        try:
            for _ in range(count):
                at += 8 + unpack(data, at)[0]
                if at > size:
                    break
        except struct.error:
            at = size + 1
        if at > size:
            raise self._cut_off()
        self._at = at

    def _tensors(self, count: int) -> tuple[Tensor, ...]:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType  # noqa: PLC0415

        tensors = []
        for _ in range(count):
            name = self._short_text("a tensor's name")
            dimensions = self._u32()
            if dimensions > MOST_DIMENSIONS:
                raise self._damaged(f"its tensor {name!r:.80} has {dimensions} dimensions")
            shape = tuple(self._u64() for _ in range(dimensions))
            kind, offset = self._u32(), self._u64()
            try:
                quantization = GGMLQuantizationType(kind)
                block, block_bytes = GGML_QUANT_SIZES[quantization]
            except (ValueError, KeyError):
                raise ModelFileError(
                    f"{self._name}: tensor {name!r:.80} has type {kind}, which the installed "
                    "gguf package does not know; upgrade it (pip install -U gguf)"
                ) from None
            if shape and shape[0] % block:
                raise self._damaged(
                    f"its tensor {name!r:.80} has rows of {shape[0]}, no multiple of {block}"
                )
            size = math.prod(shape) // block * block_bytes
            tensors.append(Tensor(name, shape, quantization, offset, size))
        return tuple(tensors)

    def _short_text(self, what: str) -> str:
        length = self._u64()
        if length > LONGEST_NAME:
            raise self._damaged(f"{what} in its header claims {length} bytes")
        begin = self._move(length)
        return self._data[begin : begin + length].decode("utf-8", errors="replace")

    def _text(self) -> str:
        length = self._u64()
        begin = self._move(length)
        kept = self._data[begin : begin + min(length, 4 * LONGEST_TEXT)]
        return kept.decode("utf-8", errors="replace")[:LONGEST_TEXT]

    def _scalar(self, kind: int, key: str) -> str:
        if kind not in _SCALARS:
            raise self._damaged(f"its metadata key {key!r:.80} has the unknown type {kind}")
        return _SCALARS[kind]

    def _u32(self) -> int:
        return int(self._value("I"))

    def _u64(self) -> int:
        return int(self._value("Q"))

    def _value(self, code: str) -> bool | int | float:
        """One scalar by its struct code."""
        layout = f"{self._order}{code}"
        begin = self._move(struct.calcsize(layout))
        value: bool | int | float = struct.unpack_from(layout, self._data, begin)[0]
        return value

    def _move(self, length: int) -> int:
        """Step over `length` bytes; where they start."""
        begin = self._at
        if length > len(self._data) - begin:
            raise self._cut_off()
        self._at += length
        return begin

    def _cut_off(self) -> ModelFileError:
        return ModelFileError(
            f"{self._name} is cut off or damaged: its header goes on beyond "
            f"the {len(self._data)} bytes of the file; download it again"
        )

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._name} is damaged: {what}")
