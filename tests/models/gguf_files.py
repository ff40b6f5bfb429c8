"""The family as GGUF files for llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

from tests.models.shape import (
    CHAT_TEMPLATE,
    CONTEXT,
    END_OF_TEXT,
    EPSILON,
    IM_END,
    ROPE_THETA,
    SPECIAL_TOKENS,
    Shape,
)
from tests.models.vocabulary import Vocabulary
from tests.models.weights import Array, Weights, gated

TRUNK = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
MTP = {
    "fc.weight": "nextn.eh_proj.weight",
    "pre_fc_norm_embedding.weight": "nextn.enorm.weight",
    "pre_fc_norm_hidden.weight": "nextn.hnorm.weight",
    "norm.weight": "nextn.shared_head_norm.weight",
}
STATE, CONVOLUTION = 64, 4
"""The recurrent layer's widths: as small as llama.cpp takes them."""


def write_qwen3(path: Path, shape: Shape, weights: Weights, vocabulary: Vocabulary) -> None:
    """A plain model: no MTP head, attention in every layer."""
    writer = begin(path, "qwen3", shape, shape.layers, vocabulary)
    finish(writer, named(weights, first_layer=0, second_norm="ffn_norm"))


def write_qwen35(
    path: Path, shape: Shape, target: Weights, mtp: Weights | None, vocabulary: Vocabulary
) -> None:
    """The target with its MTP head; without `mtp`, as a quantisation that lost the tensors.

    llama.cpp takes a qwen35 file only with a recurrent layer, so one that adds zero goes first.
    """
    blocks = 1 + shape.layers + 1
    writer = begin(path, "qwen35", shape, blocks, vocabulary)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_dimension_sections([11, 11, 10, 0])
    writer.add_nextn_predict_layers(1)
    recurrent = [block == 0 for block in range(blocks)]
    writer.add_array("qwen35.attention.recurrent_layers", recurrent)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_group_count(1)
    writer.add_ssm_time_step_rank(1)
    writer.add_ssm_inner_size(STATE)
    second_norm = "post_attention_norm"
    tensors = identity_layer(shape) | named(gated(target, shape), 1, second_norm)
    if mtp is not None:
        last = blocks - 1
        head = {name: tensor for name, tensor in gated(mtp, shape).items() if name not in MTP}
        tensors |= named(head, last, second_norm)
        tensors |= {f"blk.{last}.{new}": mtp[old] for old, new in MTP.items()}
    finish(writer, tensors)


def begin(
    path: Path, architecture: str, shape: Shape, blocks: int, vocabulary: Vocabulary
) -> GGUFWriter:
    """A file with the keys that both architectures share."""
    writer = GGUFWriter(path, architecture)
    writer.add_name(f"decodebench tiny family: {path.stem}")
    writer.add_file_type(0)
    writer.add_block_count(blocks)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(vocabulary.tokens))
    kinds = [
        TokenType.CONTROL if token in SPECIAL_TOKENS else TokenType.NORMAL
        for token in vocabulary.tokens
    ]
    writer.add_token_types(kinds)
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_eos_token_id(vocabulary.tokens.index(IM_END))
    writer.add_bos_token_id(vocabulary.tokens.index(END_OF_TEXT))
    writer.add_pad_token_id(vocabulary.tokens.index(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    return writer


def finish(writer: GGUFWriter, tensors: Weights) -> None:
    for name, tensor in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def named(weights: Weights, first_layer: int, second_norm: str) -> dict[str, Array]:
    """GGUF's names; layer 0 becomes block `first_layer`."""
    layer = LAYER | {"post_attention_layernorm": second_norm}
    tensors = {}
    for name, tensor in weights.items():
        if name in TRUNK:
            tensors[TRUNK[name]] = tensor
        else:
            _, number, rest = name.split(".", 2)
            part = layer[rest.removesuffix(".weight")]
            tensors[f"blk.{int(number) + first_layer}.{part}.weight"] = tensor
    return tensors


def identity_layer(shape: Shape) -> dict[str, Array]:
    """A recurrent block that adds zero: its two output projections are zero."""
    sizes: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (shape.hidden,),
        "post_attention_norm.weight": (shape.hidden,),
        "attn_qkv.weight": (3 * STATE, shape.hidden),
        "attn_gate.weight": (STATE, shape.hidden),
        "ssm_conv1d.weight": (3 * STATE, CONVOLUTION),
        "ssm_dt.bias": (1,),
        "ssm_a": (1,),
        "ssm_beta.weight": (1, shape.hidden),
        "ssm_alpha.weight": (1, shape.hidden),
        "ssm_norm.weight": (STATE,),
        "ssm_out.weight": (shape.hidden, STATE),
        "ffn_gate.weight": (shape.feed_forward, shape.hidden),
        "ffn_up.weight": (shape.feed_forward, shape.hidden),
        "ffn_down.weight": (shape.hidden, shape.feed_forward),
    }
    return {
        f"blk.0.{name}": np.full(size, "norm" in name, np.float32) for name, size in sizes.items()
    }
