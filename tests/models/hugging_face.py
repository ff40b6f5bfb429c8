"""The family as Hugging Face directories for vLLM and mlx-lm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.numpy import save_file

from tests.models.shape import (
    CHAT_TEMPLATE,
    CONTEXT,
    END_OF_TEXT,
    EPSILON,
    IM_END,
    ROPE_THETA,
    SPECIAL_TOKENS,
    TOKENIZER,
    VOCABULARY,
    Shape,
)
from tests.models.weights import Array, Weights, gated


def write_qwen3(folder: Path, shape: Shape, weights: Weights) -> None:
    """A plain model: no MTP head."""
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "rope_theta": ROPE_THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "use_sliding_window": False,
    }
    write(folder, shape, config, {f"model.{name}": t for name, t in weights.items()})


def write_qwen35(folder: Path, shape: Shape, target: Weights, mtp: Weights) -> None:
    """The target with its MTP head; attention in every layer.

    rope_parameters has no mrope_section: with it, vLLM's CPU build crashes on a text model.
    """
    config = {
        "architectures": ["Qwen3_5ForCausalLM"],
        "model_type": "qwen3_5_text",
        "full_attention_interval": 1,
        "layer_types": ["full_attention"] * shape.layers,
        "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False,
        "attn_output_gate": True,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 64,
        "linear_value_head_dim": 64,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 1,
        "partial_rotary_factor": 1.0,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": ROPE_THETA,
            "partial_rotary_factor": 1.0,
        },
    }
    tensors = {f"model.{name}": t for name, t in gated(target, shape).items()}
    tensors |= {f"mtp.{name}": t for name, t in gated(mtp, shape).items()}
    # Qwen3.5 stores what is added to one. The checkpoint's half precision makes that exact.
    stored = {name: t - 1 if t.ndim == 1 else t for name, t in tensors.items()}
    write(folder, shape, config, stored)


def write(folder: Path, shape: Shape, config: dict[str, object], tensors: dict[str, Array]) -> None:
    """A directory with weights, tokenizer and every configuration file that a runner reads."""
    folder.mkdir()
    end = SPECIAL_TOKENS.index(END_OF_TEXT)
    stop = SPECIAL_TOKENS.index(IM_END)
    shared = {
        "vocab_size": VOCABULARY,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "bos_token_id": end,
        "eos_token_id": stop,
        "pad_token_id": end,
        "torch_dtype": "float32",
    }
    generation = {"eos_token_id": [stop, end], "pad_token_id": end}
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": IM_END,
        "pad_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    for name, content in (
        ("config.json", config | shared),
        ("generation_config.json", generation),
        ("tokenizer_config.json", tokenizer),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
