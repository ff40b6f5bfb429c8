"""The names of llama-server's options: today's long name for whatever people write."""

from __future__ import annotations

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.llama_cpp.methods import (
    DRAFT_LENGTHS,
    METHODS,
    check_lookup,
    speculation_options,
    synthetic_options,
)

SPELLINGS: dict[str, tuple[str, ...]] = {
    "ctx-size": ("c",),
    "batch-size": ("b",),
    "ubatch-size": ("ub",),
    "parallel": ("np",),
    "threads": ("t",),
    "threads-batch": ("tb",),
    "n-gpu-layers": ("ngl", "gpu-layers"),
    "main-gpu": ("mg",),
    "split-mode": ("sm",),
    "tensor-split": ("ts",),
    "flash-attn": ("fa",),
    "cache-type-k": ("ctk",),
    "cache-type-v": ("ctv",),
    "no-kv-offload": ("nkvo",),
    "override-tensor": ("ot",),
    "cpu-moe": ("cmoe",),
    "n-cpu-moe": ("ncmoe",),
    "device": ("dev",),
    "lookup-cache-static": ("lcs",),
    "lookup-cache-dynamic": ("lcd",),
    # Renamed in April 2026; the old names of lengths and n-gram sizes are gone since then.
    "spec-draft-model": ("md", "model-draft"),
    "spec-draft-n-max": ("draft-max", "draft", "draft-n"),
    "spec-draft-n-min": ("draft-min", "draft-n-min"),
    "spec-draft-p-min": ("draft-p-min",),
    "spec-draft-p-split": ("draft-p-split",),
    "spec-draft-ngl": ("ngld", "gpu-layers-draft", "n-gpu-layers-draft"),
    "spec-draft-device": ("devd", "device-draft"),
    "spec-draft-threads": ("td", "threads-draft"),
    "spec-draft-threads-batch": ("tbd", "threads-batch-draft"),
    "spec-draft-type-k": ("ctkd", "cache-type-k-draft"),
    "spec-draft-type-v": ("ctvd", "cache-type-v-draft"),
    "spec-draft-override-tensor": ("otd", "override-tensor-draft"),
    "spec-draft-cpu-moe": ("cmoed", "cpu-moe-draft"),
    "spec-draft-n-cpu-moe": ("spec-draft-ncmoe", "ncmoed", "n-cpu-moe-draft"),
    "spec-draft-ctx-size": ("cd", "ctx-size-draft"),
}
"""Today's long name -> every other one that some build of llama-server has or had."""

SHARED: dict[str, tuple[str, ...]] = {
    "spec-ngram-simple-size-n": ("spec-ngram-size-n",),
    "spec-ngram-simple-size-m": ("spec-ngram-size-m",),
    "spec-ngram-simple-min-hits": ("spec-ngram-min-hits",),
    "spec-ngram-map-k-size-n": ("spec-ngram-size-n",),
    "spec-ngram-map-k-size-m": ("spec-ngram-size-m",),
    "spec-ngram-map-k-min-hits": ("spec-ngram-min-hits",),
    "spec-ngram-map-k4v-size-n": ("spec-ngram-size-n",),
    "spec-ngram-map-k4v-size-m": ("spec-ngram-size-m",),
    "spec-ngram-map-k4v-min-hits": ("spec-ngram-min-hits",),
    "spec-ngram-mod-n-match": ("spec-ngram-size-n",),
    "spec-ngram-mod-n-max": ("draft-max",),
    "spec-ngram-mod-n-min": ("draft-min",),
}
"""Today's long name -> the option of builds before April 2026 that did this for every method."""

_TODAYS = {other: name for name, others in SPELLINGS.items() for other in others}

OURS = frozenset({"model", "host", "port", "metrics", "spec-type", "spec-draft-model"})
"""Options that a launch sets itself: by --model, --method, --draft-model."""


def canonical(option: str) -> str:
    """Today's long name of an option of llama-server, without dashes in front."""
    name = option.strip().lstrip("-").replace("_", "-")
    return _TODAYS.get(name, name)


def launch_options(spec: LaunchSpec) -> dict[str, OptionValue]:
    """Every option of a launch by today's long name, but for the model and the address.

    The user's own win over the rest.

    Raises:
        UsageError: the speculation is none of llama.cpp's, or an option contradicts it.
    """
    if spec.model is None:
        raise UsageError("llama.cpp needs a model: --model FILE.gguf")
    options: dict[str, OptionValue] = {
        "parallel": 1,
        "ctx-size": spec.context,
        "metrics": True,
        # Prompts of a run never repeat within a launch, so a cache could only disturb.
        "no-cache-prompt": True,
        "cache-ram": 0,
    }
    options |= dict(speculation_options(spec.speculation))
    for option, value in spec.options:
        name = canonical(option)
        _check_ours(option, name, chain=len(spec.speculation.parts) > 1)
        options[name] = value
    options |= dict(synthetic_options(spec.speculation, options))
    if "ngram-simple" in spec.speculation.parts:
        length = METHODS["ngram-simple"].draft_length
        assert length is not None
        check_lookup(options.get("spec-ngram-simple-size-n"), options[length])
    return options


def _check_ours(option: str, name: str, *, chain: bool) -> None:
    if name in DRAFT_LENGTHS and not chain:
        raise UsageError(f"llama.cpp's {name} is the draft length: sweep it with --draft-tokens")
    if name.startswith("spec-synth-"):
        raise UsageError(f"llama.cpp's {name} is set by --synthetic-acceptance")
    if name in OURS:
        raise UsageError(f"bench sets llama.cpp's option {option} itself")
