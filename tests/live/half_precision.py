"""GGUF files of the tiny family with their matrices in half precision, which loses nothing: the
checkpoint has no more. OpenVINO GenAI reads no matrices of single precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType

ARCHITECTURE, KIND, END = (
    "general.architecture",
    "general.file_type",
    "tokenizer.ggml.eos_token_id",
)


def write_half(source: Path, target: Path, *, end: int | None = None) -> Path:
    """`target`; `end`: the token that shall end a text in it."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields[ARCHITECTURE].contents())
    changed = {KIND: LlamaFileType.MOSTLY_F16.value} | ({} if end is None else {END: end})
    for name, field in reader.fields.items():
        if name == ARCHITECTURE or name.startswith("GGUF."):
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, changed.get(name, field.contents()), field.types[0])
    for tensor in reader.tensors:
        values = np.array(tensor.data).reshape(tensor.shape[::-1])
        writer.add_tensor(tensor.name, values.astype(np.float16) if values.ndim > 1 else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
