"""TensorRT-LLM's configuration file, and which options belong into it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from runners.base.contract import OptionValue

Config = dict[str, "OptionValue | Config"]

SECTIONS = frozenset(
    {
        "kv_cache_config",
        "speculative_config",
        "cuda_graph_config",
        "moe_config",
        "scheduler_config",
        "torch_compile_config",
        "sparse_attention_config",
        "peft_cache_config",
        "model_kwargs",
    }
)
"""Their keys are options with the section in front: 'kv_cache_config.dtype'."""
KEYS = frozenset(
    {
        "attn_backend",
        "allreduce_strategy",
        "batch_wait_timeout_ms",
        "disable_overlap_scheduler",
        "dtype",
        "enable_attention_dp",
        "enable_autotuner",
        "enable_min_latency",
        "enable_layerwise_nvtx_marker",
        "force_dynamic_quantization",
        "load_format",
        "max_stats_len",
        "print_iter_log",
        "sampler_type",
        "use_torch_sampler",
    }
)
"""Keys of the file itself that no flag of trtllm-serve's has as well."""
MOVED = {
    "free_gpu_memory_fraction": "kv_cache_config.free_gpu_memory_fraction",
    "kv_cache_free_gpu_memory_fraction": "kv_cache_config.free_gpu_memory_fraction",
    "kv_cache_dtype": "kv_cache_config.dtype",
}
"""Flags that fill a section of the file. The file's section takes the place of what they say."""


def put(config: Config, option: str, value: OptionValue) -> None:
    """Set 'section.key', or a key of the file itself."""
    section, dot, key = option.partition(".")
    if not dot:
        config[option] = value
        return
    inner = config.setdefault(section, {})
    if isinstance(inner, dict):
        inner[key] = value


def value_of(value: OptionValue) -> OptionValue:
    """The value that YAML would read: '0.8' is a number, 'true' a truth, 'fp8' a text."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, bool | int | float) else value


def yaml_of(config: Mapping[str, object]) -> str:
    """The file in one line: JSON, which is YAML too where its numbers are."""
    inside = ", ".join(f"{_text(key)}: {_yaml(value)}" for key, value in config.items())
    return f"{{{inside}}}"


def _yaml(value: object) -> str:
    if isinstance(value, Mapping):
        return yaml_of(value)
    if isinstance(value, float) and math.isfinite(value):
        # YAML 1.1 takes 1e-05 for a text.
        plain = format(Decimal(repr(value)), "f")
        return plain if "." in plain else f"{plain}.0"
    if isinstance(value, bool | int):
        return json.dumps(value)
    return _text(str(value))


def _text(text: str) -> str:
    # Not in ASCII: YAML does not put the two halves of a character together.
    return json.dumps(text, ensure_ascii=False)
