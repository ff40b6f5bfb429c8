"""Facts of model folders."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.errors import ModelFileError
from harness.models.facts import ModelFacts
from harness.models.read import files_of, read_model_file
from harness.models.vocabulary import difference
from tests.harness.models.folders import SIZES, Tensors, write
from tests.models.export import Family

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


def facts(folder: Path, *parts: Tensors, **config: object) -> ModelFacts:
    return read_model_file(write(folder / "m", CONFIG | config, *parts)).facts


def test_the_tiny_family_says_what_its_gguf_says(family: Family) -> None:
    folder, gguf = read_model_file(family.qwen3_hf), read_model_file(family.qwen3)
    same = ("architecture", "parameters", "layers", "width", "vocabulary", "training_context")
    for name in (*same, "kv_bytes_per_token", "chat_template", "mtp_layers"):
        assert getattr(folder.facts, name) == getattr(gguf.facts, name), name
    assert folder.facts.active_bytes == folder.facts.tensor_bytes == 4 * folder.facts.parameters
    assert folder.facts.quantization == "F32"
    # Of the tokens in a folder and those in a GGUF file nothing is claimed.
    assert (
        difference(folder.vocabulary, read_model_file(family.other_vocabulary).vocabulary) is None
    )


def test_mtp_heads_are_not_read_for_a_token(family: Family) -> None:
    found = read_model_file(family.qwen35_mtp_hf).facts
    assert (found.mtp_layers, found.mtp_declared) == (1, 1)
    assert 0 < found.active_bytes < found.tensor_bytes
    with_heads = read_model_file(family.qwen35_mtp).facts
    # The GGUF file has an identity layer in front, but the same head.
    assert (found.layers, found.width) == (with_heads.layers - 1, with_heads.width)
    assert found.output_bytes == 2048 * 192 * 4
    assert found.mtp_active_bytes == with_heads.mtp_active_bytes
    assert not found.mtp_only


def test_parts_and_an_embedding_of_its_own(tmp_path: Path) -> None:
    first, second = dict(list(DENSE.items())[:2]), dict(list(DENSE.items())[2:])
    found = facts(tmp_path, first, second)
    assert found.tensor_bytes == 2 * EMBEDDING + 2 * LAYER
    assert found.active_bytes == EMBEDDING + 2 * LAYER
    assert found.output_bytes == EMBEDDING
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


# ---- MTP of other models -------------------------------------------------------------------------


def size(tensors: Tensors, *parts: str) -> int:
    """Bytes of the tensors whose names hold one of `parts`."""
    return sum(
        SIZES[kind] * math.prod(shape)
        for name, (kind, shape) in tensors.items()
        if any(part in name for part in parts)
    )


QWEN: Tensors = {
    "mtp.fc.weight": ("BF16", (32, 64)),
    "mtp.layers.0.self_attn.k_proj.weight": ("BF16", (16, 32)),
    "mtp.layers.0.mlp.shared_expert.up_proj.weight": ("BF16", (8, 32)),
    **{f"mtp.layers.0.mlp.experts.{i}.up_proj.weight": ("BF16", (8, 32)) for i in range(4)},
    "mtp.norm.weight": ("BF16", (32,)),
}
DEEPSEEK: Tensors = {
    "model.layers.2.embed_tokens.weight": ("BF16", (100, 32)),
    "model.layers.2.eh_proj.weight": ("BF16", (32, 64)),
    "model.layers.2.self_attn.kv_a_proj_with_mqa.weight": ("BF16", (16, 32)),
    "model.layers.2.shared_head.head.weight": ("BF16", (100, 32)),
}


def test_mtp_of_qwen_with_experts(tmp_path: Path) -> None:
    found = facts(
        tmp_path, DENSE | QWEN, num_experts=4, num_experts_per_tok=1, mtp_num_hidden_layers=1
    )
    one_expert = size(QWEN, ".experts.0.")
    assert (found.mtp_layers, found.mtp_declared, found.mtp_only) == (1, 1, False)
    # One expert of four, and the model's own output matrix.
    assert found.mtp_active_bytes == size(QWEN, "mtp.") - 3 * one_expert + EMBEDDING
    assert found.active_bytes == EMBEDDING + 2 * LAYER
    assert found.expert_bytes == 0
    assert found.kv_bytes_per_token == 2 * 2 * 8 * 2 * 2


def test_mtp_of_deepseek_brings_its_own_matrices(tmp_path: Path) -> None:
    found = facts(tmp_path, DENSE | DEEPSEEK, num_nextn_predict_layers=1)
    assert (found.mtp_layers, found.layers) == (1, 2)
    assert found.mtp_active_bytes == size(DEEPSEEK, "eh_proj", "kv_a_proj", "shared_head")
    assert found.active_bytes == EMBEDDING + 2 * LAYER


def test_mtp_layers_are_counted_and_share_the_bytes(tmp_path: Path) -> None:
    heads: Tensors = {
        f"model.mtp_layers.{i}.input_proj.weight": ("BF16", (32, 64)) for i in range(3)
    }
    found = facts(tmp_path, DENSE | heads, num_nextn_predict_layers=3)
    assert (found.mtp_layers, found.mtp_declared) == (3, 3)
    assert found.mtp_active_bytes == 32 * 64 * 2 + EMBEDDING


def test_heads_that_were_stripped(tmp_path: Path) -> None:
    found = facts(tmp_path, DENSE, num_nextn_predict_layers=1)
    assert (found.mtp_layers, found.mtp_declared, found.mtp_active_bytes) == (0, 1, 0)


def test_heads_alone(tmp_path: Path) -> None:
    assert facts(tmp_path, DEEPSEEK, num_nextn_predict_layers=1).mtp_only


def test_the_text_part_of_a_model_that_sees(tmp_path: Path) -> None:
    """Its eyes have more layers than its text: they are neither MTP heads nor cached."""
    eyes: Tensors = {
        f"model.visual.layers.{i}.self_attn.k_proj.weight": ("BF16", (16, 32)) for i in range(5)
    }
    text = {**CONFIG, "mtp_num_hidden_layers": 1, "model_type": "qwen3_5_text"}
    found = read_model_file(
        write(
            tmp_path / "m",
            {"model_type": "qwen3_5", "text_config": text, "vision_config": {"depth": 5}},
            DENSE | eyes | {name: QWEN[name] for name in QWEN if "expert" not in name},
        )
    ).facts
    assert found.architecture == "qwen3_5"
    assert (found.layers, found.width, found.vocabulary) == (2, 32, 100)
    assert (found.mtp_layers, found.mtp_declared) == (1, 1)
    assert found.active_bytes == EMBEDDING + 2 * LAYER
    assert found.kv_bytes_per_token == 2 * 2 * 8 * 2 * 2
    assert found.mtp_active_bytes == EMBEDDING + size(QWEN, ".fc.", "k_proj", "mtp.norm")


@given(
    heads=st.integers(0, 3),
    tied=st.booleans(),
    own_output=st.booleans(),
    experts=st.integers(0, 4),
)
def test_drafting_reads_no_more_than_there_is(
    heads: int, tied: bool, own_output: bool, experts: int
) -> None:
    tensors = dict(DENSE)
    if tied:
        del tensors["lm_head.weight"]
    for layer in range(2, 2 + heads):
        tensors |= {name.replace(".2.", f".{layer}."): t for name, t in DEEPSEEK.items()}
        if not own_output:
            del tensors[f"model.layers.{layer}.shared_head.head.weight"]
        for expert in range(experts):
            name = f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"
            tensors[name] = ("BF16", (8, 32))
    with tempfile.TemporaryDirectory() as folder:
        found = facts(
            Path(folder),
            tensors,
            num_nextn_predict_layers=heads,
            n_routed_experts=experts,
            num_experts_per_tok=min(experts, 2),
        )
    assert found.mtp_layers == heads
    assert found.tensor_bytes == size(tensors, "")
    assert (found.mtp_active_bytes > EMBEDDING) == (heads > 0)
    layer = size(DEEPSEEK, "eh_proj", "kv_a_proj") + min(experts, 2) * 8 * 32 * 2
    assert found.mtp_active_bytes == (layer + EMBEDDING if heads else 0)
    assert found.active_bytes + found.mtp_active_bytes <= found.tensor_bytes + EMBEDDING
