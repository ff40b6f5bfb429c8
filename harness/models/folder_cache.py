"""What the layers of a model folder keep of the context, by its config.json.

Keys are those of Hugging Face's transformers. What cannot be told for certain is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.models.cache import CacheKind, CacheLayers, grouped

STATE_BYTES = 4
"""Recurrent states in F32, the most that a runner keeps."""

_KINDS = {
    "full_attention": CacheKind.FULL,
    "sliding_attention": CacheKind.SLIDING,
    "chunked_attention": CacheKind.SLIDING,
    "linear_attention": CacheKind.RECURRENT,
}
_OF_THEIR_OWN = ("global_head_dim", "index_head_dim", "attention_chunk_size", "mamba_d_state")
"""Keys of models whose layers differ in more than this file counts."""


def folder_cache(config: Mapping[str, Any], layers: int) -> tuple[CacheLayers, ...] | None:
    """What the layers keep, by kind; None where config.json does not tell it.

    `config` is the text part, `layers` its layers without those for multi-token prediction.
    """
    if not layers or any(config.get(key) is not None for key in _OF_THEIR_OWN):
        return None
    kinds = _kinds(config, layers)
    if kinds is None:
        return None
    shared = _count(config, "num_kv_shared_layers")
    found = [
        CacheLayers(CacheKind.SHARED, 1)
        if layer >= layers - shared and kind is not CacheKind.RECURRENT
        else _layer(config, kind)
        for layer, kind in enumerate(kinds)
    ]
    if any(layer is None for layer in found):
        return None
    return grouped(layer for layer in found if layer is not None)


def _kinds(config: Mapping[str, Any], layers: int) -> Sequence[CacheKind] | None:
    """Each layer's kind."""
    listed = config.get("layer_types")
    if isinstance(listed, list):
        kinds = [_KINDS.get(kind) if isinstance(kind, str) else None for kind in listed]
        known = [kind for kind in kinds if kind is not None]
        return known if len(known) == layers else None
    interval = _count(config, "full_attention_interval")
    if interval and _count(config, "linear_num_value_heads"):
        return [
            CacheKind.RECURRENT if (layer + 1) % interval else CacheKind.FULL
            for layer in range(layers)
        ]
    if not _count(config, "sliding_window") or config.get("use_sliding_window", True) is False:
        return [CacheKind.FULL] * layers
    if pattern := _count(config, "sliding_window_pattern"):
        return [
            CacheKind.SLIDING if (layer + 1) % pattern else CacheKind.FULL
            for layer in range(layers)
        ]
    if "max_window_layers" in config:  # Qwen 2: the layers below look at everything
        below = _count(config, "max_window_layers")
        return [CacheKind.SLIDING if n >= below else CacheKind.FULL for n in range(layers)]
    return [CacheKind.SLIDING] * layers if config.get("model_type") == "mistral" else None


def _layer(config: Mapping[str, Any], kind: CacheKind) -> CacheLayers | None:
    if kind is CacheKind.RECURRENT:
        return CacheLayers(kind, 1, state_bytes=_state(config))
    window = _count(config, "sliding_window") if kind is CacheKind.SLIDING else None
    if window == 0:
        return None
    if rank := _count(config, "kv_lora_rank"):
        # Absorbed: the latent row and the part of the key that turns with the position.
        row = rank + _count(config, "qk_rope_head_dim")
        return CacheLayers(CacheKind.LATENT, 1, row) if window is None else None
    heads = _count(config, "num_attention_heads")
    kept = _count(config, "num_key_value_heads") or heads
    head = _count(config, "head_dim") or (_count(config, "hidden_size") // heads if heads else 0)
    value = _count(config, "v_head_dim") or head
    return CacheLayers(kind, 1, kept * head, kept * value, window) if kept * head else None


def _state(config: Mapping[str, Any]) -> int | None:
    """Of a gated delta net (Qwen3-Next, Qwen3.5): one matrix a head, and the convolution's past."""
    keys = _count(config, "linear_num_key_heads") * _count(config, "linear_key_head_dim")
    width = _count(config, "linear_value_head_dim")
    values = _count(config, "linear_num_value_heads") * width
    if not keys or not values:
        return None
    past = max(0, _count(config, "linear_conv_kernel_dim") - 1) * (2 * keys + values)
    return STATE_BYTES * (past + values * _count(config, "linear_key_head_dim"))


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return max(0, value)
