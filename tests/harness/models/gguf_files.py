"""Small GGUF files for the tests, written by the gguf package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFEndian, GGUFWriter
from gguf.quants import quant_shape_to_byte_shape

Shape = tuple[int, ...]
Q8 = GGMLQuantizationType.Q8_0
F32 = GGMLQuantizationType.F32

EMBEDDING = 64
VOCABULARY = 96
WIDTH = 128
HEADS, KV_HEADS, HEAD = 4, 2, 16


def layer(number: int) -> dict[str, Shape]:
    """A Llama layer; shapes in numpy's order."""
    block = f"blk.{number}."
    return {
        f"{block}attn_norm.weight": (EMBEDDING,),
        f"{block}attn_q.weight": (HEADS * HEAD, EMBEDDING),
        f"{block}attn_k.weight": (KV_HEADS * HEAD, EMBEDDING),
        f"{block}attn_v.weight": (KV_HEADS * HEAD, EMBEDDING),
        f"{block}ffn_up.weight": (WIDTH, EMBEDDING),
        f"{block}ffn_down.weight": (EMBEDDING, WIDTH),
    }


def dense(layers: int = 2) -> dict[str, Shape]:
    """A tied model: no output matrix."""
    tensors: dict[str, Shape] = {"token_embd.weight": (VOCABULARY, EMBEDDING)}
    for number in range(layers):
        tensors |= layer(number)
    return tensors | {"output_norm.weight": (EMBEDDING,)}


def with_mtp(heads: int = 1, layers: int = 2) -> dict[str, Shape]:
    """A model with MTP layers; its key is `nextn_predict_layers`."""
    tensors = dense(layers)
    for number in range(layers, layers + heads):
        tensors |= layer(number)
        tensors[f"blk.{number}.nextn.eh_proj.weight"] = (EMBEDDING, 2 * EMBEDDING)
    return tensors


def heads_alone(layers: int = 2) -> dict[str, Shape]:
    """The MTP layer of `with_mtp` in a file of its own."""
    return {name: shape for name, shape in with_mtp(1, layers).items() if f".{layers}." in name}


def size_of(shape: Shape) -> int:
    """Bytes as `write` stores it: norms in F32, matrices in Q8_0."""
    elements = int(np.prod(shape))
    return elements * 4 if len(shape) == 1 else elements * 34 // 32


def total(tensors: Mapping[str, Shape]) -> int:
    return sum(size_of(shape) for shape in tensors.values())


def write(
    path: Path,
    tensors: Mapping[str, Shape],
    *,
    architecture: str = "llama",
    integers: Mapping[str, int] | None = None,
    arrays: Mapping[str, Sequence[int] | Sequence[bool] | Sequence[str]] | None = None,
    texts: Mapping[str, str] | None = None,
    flags: Mapping[str, bool] | None = None,
    endian: GGUFEndian = GGUFEndian.LITTLE,
) -> Path:
    """A whole file. Keys of `integers` and `arrays` go under the architecture unless dotted so."""
    writer = GGUFWriter(path, architecture, endianess=endian)
    numbers = {
        "block_count": 1
        + max((int(n.split(".")[1]) for n in tensors if n[:4] == "blk."), default=0),
        "context_length": 4096,
        "embedding_length": EMBEDDING,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "vocab_size": VOCABULARY,
    } | dict(integers or {})
    for key, number in numbers.items():
        if key not in (arrays or {}):
            writer.add_uint32(_full(key, architecture), number)
    for key, items in (arrays or {}).items():
        writer.add_array(_full(key, architecture), items)
    for key, text in (texts or {}).items():
        writer.add_string(key, text)
    for key, flag in (flags or {}).items():
        writer.add_bool(_full(key, architecture), flag)
    for name, shape in tensors.items():
        if len(shape) == 1:
            writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
        else:
            stored = quant_shape_to_byte_shape(shape, Q8)
            writer.add_tensor(name, np.zeros(stored, dtype=np.uint8), raw_dtype=Q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _full(key: str, architecture: str) -> str:
    return key if key.startswith(("general.", "tokenizer.", "split.")) else f"{architecture}.{key}"
