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
    MEDUSA_HEADS,
    MEDUSA_LAYERS,
    ROPE_THETA,
    SPECIAL_TOKENS,
    TOKENIZER,
    VOCABULARY,
    Shape,
)
from tests.models.weights import Array, Weights, gated

Json = dict[str, object]


def write_qwen3(folder: Path, shape: Shape, weights: Weights) -> None:
    """A plain model: no MTP head."""
    config: Json = {
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
    config: Json = {
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


def write_eagle(folder: Path, shape: Shape, weights: Weights) -> None:
    """An EAGLE head for a target of the same width: nothing in config.json says that it is one."""
    write_drafter(folder, shape, {"architectures": ["LlamaForCausalLM"]}, weights)


def write_eagle3(folder: Path, shape: Shape, weights: Weights, layers: tuple[int, ...]) -> None:
    """An EAGLE-3 head that reads the target's hidden states after these layers."""
    config: Json = {
        "architectures": ["LlamaForCausalLMEagle3"],
        "draft_vocab_size": VOCABULARY,
        "eagle_config": {
            "use_aux_hidden_state": True,
            "eagle_aux_hidden_state_layer_ids": list(layers),
        },
    }
    write_drafter(folder, shape, config, weights)


def write_drafter(folder: Path, shape: Shape, config: Json, weights: Weights) -> None:
    """One Llama layer that works with the embedding and the output matrix of its target."""
    llama: Json = {"model_type": "llama", "rope_theta": ROPE_THETA, "mlp_bias": False}
    write_files(folder, config | llama | sizes(shape) | {"num_hidden_layers": 1}, weights)


def write_medusa(folder: Path, shape: Shape, weights: Weights, output: Array) -> None:
    """Medusa heads that share one output matrix [vocabulary, hidden], which they bring along."""
    config: Json = {
        "architectures": ["MedusaModel"],
        "model_type": "medusa",
        "hidden_size": shape.hidden,
        "vocab_size": VOCABULARY,
        "num_heads": MEDUSA_HEADS,
        "num_hidden_layers": MEDUSA_LAYERS,
        "medusa_fc_bias": False,
        "original_lm_head": True,
        "torch_dtype": "float32",
    }
    write_files(folder, config, {**weights, "lm_heads.0.weight": output})


def write(folder: Path, shape: Shape, config: Json, tensors: Weights) -> None:
    """A directory with weights, tokenizer and every configuration file that a runner reads."""
    write_files(folder, config | sizes(shape), tensors)
    end = SPECIAL_TOKENS.index(END_OF_TEXT)
    stop = SPECIAL_TOKENS.index(IM_END)
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
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    write_json(folder / "generation_config.json", generation)
    write_json(folder / "tokenizer_config.json", tokenizer)


def reorder_tokens(folder: Path, order: tuple[int, ...]) -> None:
    """Give the directory's tokenizer the texts that stood at `order[i]` under id i."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    ids = {old: new for new, old in enumerate(order)}
    old_ids = content["model"]["vocab"]
    content["model"]["vocab"] = {text: ids[token] for text, token in old_ids.items()}
    write_json(path, content)


def sizes(shape: Shape) -> dict[str, object]:
    """What config.json says of every model of the family."""
    end = SPECIAL_TOKENS.index(END_OF_TEXT)
    return {
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
        "eos_token_id": SPECIAL_TOKENS.index(IM_END),
        "pad_token_id": end,
        "torch_dtype": "float32",
    }


def write_files(folder: Path, config: Json, tensors: Weights) -> None:
    folder.mkdir()
    save_file(dict(tensors), folder / "model.safetensors", {"format": "pt"})
    write_json(folder / "config.json", config)


def write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
