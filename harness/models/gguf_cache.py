"""What a GGUF model's layers keep of the context.

Told by their tensors: recurrent layers have none for keys, whatever key a given architecture names
them by. Sizes as llama.cpp has them (src/llama-kv-cache.cpp, src/llama-hparams.cpp, b11434).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from harness.models.cache import CacheKind, CacheLayers, grouped
from harness.models.gguf import Tensor
from harness.models.gguf_keys import GgufKeys

SLIDING_PERIOD = {
    "afmoe": 4,
    "cohere2": 4,
    "exaone-moe": 4,
    "exaone4": 4,
    "gemma-embedding": 6,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
    "mellum": 4,
    "muse-glimmer": 4,
    "olmo2": 4,
    "plamo3": 8,
}
"""Architectures whose file does not say which layers slide: the last layer of each period looks
at the whole context, the others at a window (llama.cpp, `load_swa_pattern` in src/models)."""

WHOLE_FIRST_PERIOD = {"cohere2moe": 4, "laguna": 4, "smallthinker": 4}
"""The same, but it is the first layer of each period that looks at the whole context."""

DEFAULT_WINDOW = {"gemma2": 4096, "llama4": 8192}
"""Windows of architectures that slide even where the file has no key for it."""

FIXED_WINDOW = {"llama4": 8192, "smallthinker": 4096}
"""Windows that llama.cpp takes whatever the key says, as long as it is not 0."""

STATE_BYTES = 4
"""llama.cpp keeps recurrent states in F32."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_RECURRENT = ("ssm_", "time_mix_", "shortconv.")
_KEYS = frozenset({"attn_k.weight", "attn_kv_a_mqa.weight", "attn_kv.weight", "attn_k_b.weight"})


def parts_of_layers(tensors: Sequence[Tensor]) -> dict[int, set[str]]:
    """The tensors of each layer, without the layer's number."""
    parts: dict[int, set[str]] = {}
    for tensor in tensors:
        if (found := _BLOCK.fullmatch(tensor.name)) is not None:
            parts.setdefault(int(found.group(1)), set()).add(found.group(2))
    return parts


def layer_of(tensor: Tensor) -> int | None:
    """The number of the layer that a tensor belongs to; None: to no single one."""
    found = _BLOCK.fullmatch(tensor.name)
    return None if found is None else int(found.group(1))


def is_recurrent(names: Collection[str]) -> bool:
    """Whether a layer with these tensors keeps a state of constant size."""
    return any(name.startswith(_RECURRENT) for name in names)


def keeps_keys(names: Collection[str]) -> bool:
    """Whether a layer with these tensors makes keys."""
    if _KEYS & set(names):
        return True
    # A linear-attention layer may fuse its projections under the same name.
    return "attn_qkv.weight" in names and not any(name.startswith("ssm_") for name in names)


def gguf_cache(
    keys: GgufKeys, parts: Mapping[int, Collection[str]], blocks: int, mtp_layers: int
) -> tuple[CacheLayers, ...]:
    """What the layers keep, by kind; `blocks` counts the MTP layers, which are the last ones.

    Raises:
        ModelFileError: a key that should be a count is none.
    """
    return grouped(
        kept
        for layer, names in sorted(parts.items())
        if layer < blocks
        for kept in _of_layer(keys, layer, names, blocks - mtp_layers)
    )


def kv_heads(keys: GgufKeys, layer: int) -> int:
    """0 of a layer that keeps no keys, which an array of an entry for each layer may say."""
    heads = keys.count("attention.head_count", 0)
    return keys.count("attention.head_count_kv", heads, layer=layer)


def _of_layer(
    keys: GgufKeys, layer: int, names: Collection[str], own: int
) -> Iterator[CacheLayers]:
    shared = keys.count("attention.shared_kv_layers", 0)
    if own - shared <= layer < own:
        if "attn_q.weight" in names or keeps_keys(names):
            yield CacheLayers(CacheKind.SHARED, 1)
    elif keeps_keys(names) and (heads := kv_heads(keys, layer)):
        latent = keys.count("attention.key_length_mla", 0) > 0
        window = None if layer >= own else _window(keys, layer, own)
        key, value = _lengths(keys, latent=latent, slides=window is not None)
        if layer >= own:
            kind = CacheKind.MTP
        elif window is not None:
            kind = CacheKind.SLIDING
        else:
            kind = CacheKind.LATENT if latent else CacheKind.FULL
        yield CacheLayers(kind, 1, heads * key, heads * value, window)
        if layer < own and "indexer.attn_k.weight" in names:
            yield CacheLayers(CacheKind.INDEXER, 1, keys.count("attention.indexer.key_length", 0))
    if layer < own and is_recurrent(names):
        yield CacheLayers(CacheKind.RECURRENT, 1, state_bytes=_state(keys))


def _lengths(keys: GgufKeys, *, latent: bool, slides: bool) -> tuple[int, int]:
    """Elements of one head's key and value.

    Multi-head latent attention in its absorbed form keeps one row per token from which both are
    taken (llama.cpp gives it no V cache): key length alone.
    """
    heads = keys.count("attention.head_count", 0)
    default = keys.count("embedding_length", 0) // heads if heads else 0
    key = keys.count("attention.key_length", default)
    value = keys.count("attention.value_length", default)
    if slides:
        key = keys.count("attention.key_length_swa", key)
        value = keys.count("attention.value_length_swa", value)
    return key, 0 if latent else value


def _window(keys: GgufKeys, layer: int, layers: int) -> int | None:
    """Tokens that the layer looks back, after which its cache stops growing; None: all."""
    architecture = keys.architecture
    window = keys.count("attention.sliding_window", DEFAULT_WINDOW.get(architecture, 0))
    if architecture == "exaone4" and layers == 64 and keys.raw("attention.sliding_window") is None:
        window = 4096
    if not window:
        return None
    window = FIXED_WINDOW.get(architecture, window)
    pattern = keys.raw("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        return window if pattern and pattern[layer % len(pattern)] else None
    whole_first = architecture in WHOLE_FIRST_PERIOD
    periods = WHOLE_FIRST_PERIOD if whole_first else SLIDING_PERIOD
    period = pattern if isinstance(pattern, int) else periods.get(architecture, 1)
    if period <= 0:
        return window if period == 0 else None
    whole = 0 if whole_first else period - 1
    return None if layer % period == whole else window


def _state(keys: GgufKeys) -> int | None:
    """A recurrent layer's state of one sequence (`n_embd_r` and `n_embd_s` in llama-hparams.cpp).

    None where none of the keys is there that tell its size.
    """
    width = keys.count("embedding_length", 0)
    conv = keys.count("ssm.conv_kernel", 0)
    if head := keys.count("wkv.head_size", 0):
        return STATE_BYTES * width * (keys.count("token_shift_count", 2) + head)
    if kernel := keys.count("shortconv.l_cache", 0):
        return STATE_BYTES * width * (kernel - 1)
    if head := keys.count("kda.head_dim", 0):
        inner = keys.count("attention.head_count", 0) * head
        return STATE_BYTES * (3 * (conv - 1 if conv else 3) * inner + inner * head)
    if inner := keys.count("ssm.inner_size", 0):
        state = keys.count("ssm.state_size", 0)
        row = inner + 2 * keys.count("ssm.group_count", 0) * state
        return STATE_BYTES * (max(0, conv - 1) * row + state * inner)
    return None
