"""A launch as the arguments of `llama_cpp.Llama` and of its prompt lookup.

Options go by the package's own names: the keywords of `Llama`, whatever the installed version has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.option_text import numbers, switch
from runners.base.spelling import nearest
from runners.llama_cpp_python.package import DISTRIBUTION, Package

METHOD = "ngram"
NGRAM_SIZE = "max_ngram_size"
DRAFT_LENGTH = "num_pred_tokens"
"""Both are keywords of `LlamaPromptLookupDecoding`."""

OURS = {
    "model_path": "--model",
    "draft_model": "--method",
    "seed": "each request",
    DRAFT_LENGTH: "--draft-tokens",
}
"""Keyword -> what sets it instead."""
MEANINGLESS = frozenset(
    {
        "vocab_only",
        "embedding",
        "logits_all",
        "verbose",
        "no_perf",
        "chat_format",
        "last_n_tokens_size",
        "spm_infill",
    }
)
"""Keywords that would break the measurement, or mean nothing to it."""

SPELLINGS: dict[str, tuple[str, ...]] = {
    "n_ctx": ("c", "ctx_size"),
    "n_batch": ("b", "batch_size"),
    "n_ubatch": ("ub", "ubatch_size"),
    "n_threads": ("t", "threads"),
    "n_threads_batch": ("tb", "threads_batch"),
    "n_gpu_layers": ("ngl", "gpu_layers"),
    "main_gpu": ("mg",),
    "split_mode": ("sm",),
    "tensor_split": ("ts",),
    "flash_attn": ("fa",),
    "type_k": ("ctk", "cache_type_k"),
    "type_v": ("ctv", "cache_type_v"),
    "use_mlock": ("mlock",),
}
"""The package's name -> llama-server's names of the same thing."""
_OURS_OF = {other: name for name, others in SPELLINGS.items() for other in others}

Argument: TypeAlias = bool | int | float | str | list[float]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Launch:
    """What the child is told: keywords of `Llama`, and of the lookup where there is one."""

    arguments: Mapping[str, Argument]
    lookup: Mapping[str, int] | None


def canonical(option: str) -> str:
    """The package's keyword, however the option is spelled."""
    name = option.strip().lstrip("-").replace("-", "_")
    return _OURS_OF.get(name, name)


def launch_of(spec: LaunchSpec, package: Package) -> Launch:
    """The launch as keywords.

    Raises:
        UsageError: no model, another way of speculating, or an option or value that the package
            does not have.
    """
    if spec.model is None:
        raise UsageError(f"{DISTRIBUTION} needs a model: --model FILE.gguf")
    lookup = _lookup(spec)
    arguments: dict[str, Argument] = {"model_path": str(spec.model), "n_ctx": spec.context}
    for option, value in spec.options:
        name = canonical(option)
        if name == NGRAM_SIZE:
            size = _parsed(name, value, _positive)
            if lookup is not None:
                lookup[NGRAM_SIZE] = size
            continue
        arguments[name] = _argument(option, name, value, package)
    _check_batch(arguments, lookup)
    return Launch(arguments, lookup)


def _lookup(spec: LaunchSpec) -> dict[str, int] | None:
    speculation = spec.speculation
    if speculation.is_plain:
        return None
    if speculation.method != METHOD:
        raise UsageError(
            f"{DISTRIBUTION} cannot speculate by {speculation.method!r}, only by {METHOD!r}"
        )
    if speculation.synthetic is not None:
        raise UsageError(f"{DISTRIBUTION} has no synthetic acceptance")
    assert speculation.draft_tokens is not None
    return {DRAFT_LENGTH: speculation.draft_tokens}


def _argument(option: str, name: str, value: OptionValue, package: Package) -> Argument:
    if name in OURS:
        raise UsageError(f"{DISTRIBUTION}'s option {option} is set by {OURS[name]}")
    kind = None if name in MEANINGLESS else package.kinds.get(name)
    if kind is None:
        free = [n for n, k in package.kinds.items() if k and n not in MEANINGLESS and n not in OURS]
        hint = nearest(name, [*free, NGRAM_SIZE]) or f"known: {', '.join(free)}"
        raise UsageError(f"{DISTRIBUTION} has no option {option!r}; {hint}")
    names = package.constants.get(name, {})
    if str(value).lower() in names:
        return names[str(value).lower()]
    parsers: dict[str, Callable[[str], Argument]] = {
        "bool": switch,
        "int": int,
        "float": float,
        "str": str,
        "floats": _floats,
    }
    return _parsed(option, value, parsers[kind])


def _parsed(option: str, value: OptionValue, parse: Callable[[str], Value]) -> Value:
    try:
        return parse(str(value))
    except ValueError as error:
        text = str(value)[:100]
        raise UsageError(f"{DISTRIBUTION}'s option {option} cannot be {text!r}: {error}") from None


def _floats(text: str) -> list[float]:
    return list(numbers(text))


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError("expected 1 or more")
    return number


def _check_batch(arguments: Mapping[str, Argument], lookup: Mapping[str, int] | None) -> None:
    """The package samples a verified draft from one batch only."""
    if lookup is None:
        return
    sizes = [arguments.get("n_batch", 512), arguments["n_ctx"]]
    batch = min(size for size in sizes if isinstance(size, int) and size > 0)
    if lookup[DRAFT_LENGTH] >= batch:
        raise UsageError(
            f"{DISTRIBUTION} verifies a draft in one batch: {lookup[DRAFT_LENGTH]} draft tokens "
            f"and one more do not fit in n_batch = {batch}"
        )
