"""Facts of model folders."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from harness.models.errors import ModelFileError
from harness.models.facts import ModelFacts
from harness.models.read import files_of, read_model_file
from harness.models.vocabulary import difference
from tests.models.export import Family

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4}
Tensors = dict[str, tuple[str, tuple[int, ...]]]
CONFIG = {
    "model_type": "qwen3",
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
    "vocab_size": 100,
    "max_position_embeddings": 512,
}
DENSE: Tensors = {
    "model.embed_tokens.weight": ("BF16", (100, 32)),
    "lm_head.weight": ("BF16", (100, 32)),
    **{f"model.layers.{i}.self_attn.k_proj.weight": ("BF16", (16, 32)) for i in range(2)},
}
EMBEDDING = 100 * 32 * 2
LAYER = 16 * 32 * 2


def write(folder: Path, config: object, *parts: Tensors) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for number, tensors in enumerate(parts):
        at = 0
        header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
        for name, (kind, shape) in tensors.items():
            end = at + SIZES[kind] * math.prod(shape)
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
            at = end
        text = json.dumps(header).encode()
        data = len(text).to_bytes(8, "little") + text + bytes(at)
        (folder / f"model-{number}.safetensors").write_bytes(data)
    return folder


def facts(folder: Path, *parts: Tensors, **config: object) -> ModelFacts:
    return read_model_file(write(folder / "m", CONFIG | config, *parts)).facts


def test_the_tiny_family_says_what_its_gguf_says(family: Family) -> None:
    folder, gguf = read_model_file(family.qwen3_hf), read_model_file(family.qwen3)
    same = ("architecture", "parameters", "layers", "width", "vocabulary", "training_context")
    for name in (*same, "kv_bytes_per_token", "chat_template", "mtp_layers"):
        assert getattr(folder.facts, name) == getattr(gguf.facts, name), name
    assert folder.facts.active_bytes == folder.facts.tensor_bytes == 4 * folder.facts.parameters
    assert folder.facts.quantization == "F32"
    # Nothing is claimed of vocabularies.
    assert (
        difference(folder.vocabulary, read_model_file(family.other_vocabulary).vocabulary) is None
    )


def test_mtp_heads_are_not_read_for_a_token(family: Family) -> None:
    found = read_model_file(family.qwen35_mtp_hf).facts
    assert (found.mtp_layers, found.mtp_declared) == (1, 1)
    assert 0 < found.active_bytes < found.tensor_bytes


def test_parts_and_an_embedding_of_its_own(tmp_path: Path) -> None:
    first, second = dict(list(DENSE.items())[:2]), dict(list(DENSE.items())[2:])
    found = facts(tmp_path, first, second)
    assert found.tensor_bytes == 2 * EMBEDDING + 2 * LAYER
    assert found.active_bytes == EMBEDDING + 2 * LAYER
    assert found.kv_bytes_per_token == 2 * 2 * 8 * 2 * 2
    names = [file.name for file in files_of(tmp_path / "m")]
    assert names == ["config.json", "model-0.safetensors", "model-1.safetensors"]


def test_packed_weights(tmp_path: Path) -> None:
    packed: Tensors = {
        "model.layers.0.self_attn.k_proj.weight": ("U32", (64, 16)),
        "model.layers.0.self_attn.k_proj.scales": ("BF16", (64, 2)),
        "model.layers.0.self_attn.k_proj.biases": ("BF16", (64, 2)),
        "model.norm.weight": ("BF16", (128,)),
    }
    found = facts(tmp_path, packed, quantization={"bits": 4, "group_size": 64})
    assert found.parameters == 64 * 128 + 128
    assert found.quantization == "4-bit"


def test_experts(tmp_path: Path) -> None:
    experts: Tensors = {
        f"model.layers.0.mlp.experts.{i}.up_proj.weight": ("F16", (8, 8)) for i in range(4)
    }
    found = facts(tmp_path, DENSE | experts, num_experts=4, num_experts_per_tok=1)
    assert (found.experts, found.experts_used) == (4, 1)
    assert found.expert_bytes == 4 * 128
    assert found.active_bytes == EMBEDDING + 2 * LAYER + 128


@pytest.mark.parametrize(
    "config",
    [
        {"sliding_window": 4096},
        {"layer_types": ["sliding_attention", "full_attention"]},
        {"kv_lora_rank": 512},
        {"num_attention_heads": None, "num_key_value_heads": None},
    ],
)
def test_a_cache_of_unknown_size(tmp_path: Path, config: dict[str, object]) -> None:
    assert facts(tmp_path, DENSE, **config).kv_bytes_per_token is None


def test_what_is_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="configuration without weights"):
        facts(tmp_path)
    with pytest.raises(ModelFileError, match="no JSON object"):
        read_model_file(write(tmp_path / "b", [], DENSE))
    for number, damage in enumerate((b"", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]")):
        folder = write(tmp_path / f"c{number}", CONFIG, DENSE)
        (folder / "model-0.safetensors").write_bytes(damage)
        with pytest.raises(ModelFileError, match=r"cut off|damaged"):
            read_model_file(folder)
    folder = write(tmp_path / "d", CONFIG, DENSE)
    whole = (folder / "model-0.safetensors").read_bytes()
    (folder / "model-0.safetensors").write_bytes(whole[:-1])
    with pytest.raises(ModelFileError, match="cut off"):
        read_model_file(folder)
