"""The published architectures as GGUF headers: what harness.models reads of them.

Two counts that share no code: that of the tensors in a file, and that of the architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quant_shape_to_byte_shape

from benchmarks.model_bytes import Architecture, has_more_bits
from benchmarks.validation import published
from harness.models.read import read_model_file

MODELS = published().models
GGUF_NAMES = {
    "llama-2-7b-f16": "llama",
    "llama-2-7b-q4_0": "llama",
    "llama-3-8b-f16": "llama",
    "llama-3-8b-q4_k_m": "llama",
    "qwen2_5-7b-q8_0": "qwen2",
    "gpt-oss-120b": "gpt-oss",
    "qwen3-30b-a3b-q8_0": "qwen3moe",
}

Tensor = tuple[str, tuple[int, ...], str]
"""Name, shape in numpy's order, and type."""


def tensors(model: Architecture) -> Iterator[Tensor]:
    yield "token_embd.weight", (model.vocabulary, model.width), model.type
    yield "output.weight", (model.vocabulary, model.width), model.output_type or model.type
    yield "output_norm.weight", (model.width,), "F32"
    for number in range(model.layers):
        for name, shape, kind in layer(model, number):
            yield f"blk.{number}.{name}", shape, kind


def layer(model: Architecture, number: int) -> Iterator[Tensor]:
    queries, keys = model.heads * model.head, model.kv_heads * model.head
    wide = model.type
    if model.more_bits_type is not None and has_more_bits(number, model.layers):
        wide = model.more_bits_type
    yield "attn_norm.weight", (model.width,), "F32"
    yield "ffn_norm.weight", (model.width,), "F32"
    yield "attn_q.weight", (queries, model.width), model.type
    yield "attn_k.weight", (keys, model.width), model.type
    yield "attn_v.weight", (keys, model.width), wide
    yield "attn_output.weight", (model.width, queries), model.type
    if model.qkv_biases:
        yield "attn_q.bias", (queries,), "F32"
        yield "attn_k.bias", (keys,), "F32"
        yield "attn_v.bias", (keys,), "F32"
    suffix, experts, kind = "", (), model.type
    if model.experts:
        yield "ffn_gate_inp.weight", (model.experts, model.width), "F32"
        suffix, experts, kind = "_exps", (model.experts,), model.expert_type or model.type
        wide = kind
    yield f"ffn_gate{suffix}.weight", (*experts, model.inner, model.width), kind
    yield f"ffn_up{suffix}.weight", (*experts, model.inner, model.width), kind
    yield f"ffn_down{suffix}.weight", (*experts, model.width, model.inner), wide


def header(path: Path, model: Architecture, name: str) -> Path:
    """A file of the right length whose tensors are holes."""
    writer = GGUFWriter(path, name)
    for key, number in {
        "block_count": model.layers,
        "context_length": 4096,
        "embedding_length": model.width,
        "attention.head_count": model.heads,
        "attention.head_count_kv": model.kv_heads,
        "attention.key_length": model.head,
        "attention.value_length": model.head,
        "vocab_size": model.vocabulary,
        "expert_count": model.experts,
        "expert_used_count": model.experts_used,
    }.items():
        if number:
            writer.add_uint32(f"{name}.{key}", number)
    end = 0
    for tensor, shape, type_name in tensors(model):
        kind = GGMLQuantizationType[type_name]
        stored = quant_shape_to_byte_shape(shape, kind)
        size = int(np.prod(stored, dtype=np.int64))
        writer.add_tensor_info(tensor, stored, np.dtype(np.uint8), size, raw_dtype=kind)
        end += -(-size // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + end + 32)
    return path


@pytest.mark.parametrize("key", MODELS)
def test_a_header_is_read_as_the_architecture_counts(key: str, tmp_path: Path) -> None:
    model = MODELS[key]
    path = header(tmp_path / "m.gguf", model, GGUF_NAMES[key])
    try:
        facts = read_model_file(path).facts
    finally:
        path.unlink()  # its length, if not its size, is that of a real one
    assert facts.tensor_bytes == model.file_bytes
    assert facts.active_bytes == pytest.approx(model.active_bytes, rel=1e-9)
    assert facts.expert_bytes == model.expert_bytes
    # Keys and values at F16; these headers name no window.
    per_token = 2 * 2 * model.kv_heads * model.head
    assert facts.kv_bytes_per_token == model.layers * per_token
