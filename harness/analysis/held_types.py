"""In which types a runner holds a model's weights and KV cache, where the file does not decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.models.facts import ModelFacts
from harness.theory.ceiling import kv_bytes_as
from runners.base.contract import OptionValue

FILE_TYPES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of one weight, of folders and files that are not quantized."""

VLLM_TYPES = {"half": 2, "float16": 2, "bfloat16": 2, "float": 4, "float32": 4}
"""Bytes of one value under vLLM's `dtype` (vLLM 0.32, `ModelDType` in config/model.py)."""

NAMES = {"half": "F16", "float16": "F16", "bfloat16": "BF16", "float": "F32", "float32": "F32"}
"""The same types as files call them."""

F16_BYTES = 2


def by_name(options: Iterable[tuple[str, OptionValue]]) -> dict[str, str]:
    """Values by the option's name with dashes, as 'kv-cache-dtype', however it was spelled."""
    return {key.lstrip("-").replace("_", "-"): str(value) for key, value in options}


def weights_share(kind: str, facts: ModelFacts, options: Mapping[str, str]) -> float:
    """Bytes that a weight takes as the runner holds it / its bytes in the file.

    vLLM casts weights that are not quantized to its `dtype`; the other runners keep the file's
    type.

    Raises:
        ValueError: it is not known; the text says why.
    """
    if kind != "vllm":
        return 1.0
    if "quantization" in options:
        raise ValueError("quantization is set, so the type of the weights is not known")
    own = FILE_TYPES.get(facts.quantization or "")
    return 1.0 if own is None else _vllm_bytes(facts, options) / own


def held_words(
    kind: str, facts: ModelFacts, options: Iterable[tuple[str, OptionValue]]
) -> str | None:
    """The type of a model's weights: 'Q4_1'; 'F32 as BF16' where the runner casts them."""
    own = facts.quantization
    chosen = by_name(options).get("dtype", "auto")
    if kind != "vllm" or own not in FILE_TYPES:
        return own
    if chosen != "auto":
        held = NAMES.get(chosen, chosen)
        return own if held == own else f"{own} as {held}"
    return "F32 in a type of vLLM's choice" if own == "F32" else own


def kv_bytes(kind: str, facts: ModelFacts, options: Mapping[str, str]) -> float:
    """Bytes of keys and values of one token of context.

    Raises:
        ValueError: it is not known; the text says why.
    """
    at_f16 = facts.kv_bytes_per_token
    if at_f16 is None:
        raise ValueError("the model's files do not tell the size of its KV cache")
    if "kv-bits" in options:
        raise ValueError("kv_bits is set, and from which token on it holds is not known")
    if kind == "vllm":
        return at_f16 * _vllm_cache_bytes(facts, options) / F16_BYTES
    if kind == "mlx":
        # Keys and values have the type that the model computes in; a quantized one's is F16's size.
        return at_f16 * FILE_TYPES.get(facts.quantization or "", F16_BYTES) / F16_BYTES
    return kv_bytes_as(
        at_f16, options.get("cache-type-k", "f16"), options.get("cache-type-v", "f16")
    )


def _vllm_cache_bytes(facts: ModelFacts, options: Mapping[str, str]) -> int:
    chosen = options.get("kv-cache-dtype", "auto")
    if chosen == "auto":
        return _vllm_bytes(facts, options)
    if chosen in ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"):
        return 1
    if chosen in VLLM_TYPES:
        return VLLM_TYPES[chosen]
    raise ValueError(f"the size of a KV cache of the type {chosen!r} is not known")


def _vllm_bytes(facts: ModelFacts, options: Mapping[str, str]) -> int:
    """Bytes of a value in the type that vLLM computes in."""
    chosen = options.get("dtype", "auto")
    if chosen in VLLM_TYPES:
        return VLLM_TYPES[chosen]
    if chosen != "auto":
        raise ValueError(f"the size of vLLM's dtype {chosen!r} is not known")
    if facts.quantization == "F32":
        raise ValueError("the type that vLLM holds F32 weights in is not known: set dtype")
    return F16_BYTES
