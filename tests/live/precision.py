"""GGUF files of models with their matrices in another precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, ReaderTensor
from gguf.quants import dequantize

ARCHITECTURE, KIND, END = (
    "general.architecture",
    "general.file_type",
    "tokenizer.ggml.eos_token_id",
)


def write_half(source: Path, target: Path, *, end: int | None = None) -> Path:
    """The tiny family in half precision, which loses nothing: the checkpoint has no more. OpenVINO
    GenAI reads no matrices of single precision. `end`: the token that shall end a text in it."""

    def half(tensor: ReaderTensor) -> Any:
        values = np.array(tensor.data).reshape(tensor.shape[::-1])
        return values.astype(np.float16) if values.ndim > 1 else values

    ends = {} if end is None else {END: end}
    return _write(source, target, {KIND: LlamaFileType.MOSTLY_F16.value, **ends}, half)


def write_single(source: Path, target: Path) -> Path:
    """A quantized model in single precision: a step has five times as much to read and says the
    same, so that the quantized file drafts well for it."""

    def single(tensor: ReaderTensor) -> Any:
        return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    return _write(source, target, {KIND: LlamaFileType.ALL_F32.value}, single)


def _write(
    source: Path,
    target: Path,
    changed: dict[str, int],
    converted: Callable[[ReaderTensor], Any],
) -> Path:
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields[ARCHITECTURE].contents())
    for name, field in reader.fields.items():
        if name == ARCHITECTURE or name.startswith("GGUF."):
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, changed.get(name, field.contents()), field.types[0])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, converted(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
