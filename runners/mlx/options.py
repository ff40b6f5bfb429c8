"""A launch as the arguments of mlx-lm's generator, by mlx-lm's own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.model_files import model_folder
from runners.base.spelling import nearest
from runners.mlx.package import DISTRIBUTION, Package

METHOD = "draft-model"
KINDS = "MLX or Hugging Face"


def _at_least(least: int) -> Callable[[int], bool]:
    return lambda value: value >= least


OPTIONS: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "max_kv_size": (_at_least(1), "a number of tokens"),
    "kv_bits": (lambda bits: bits in (2, 3, 4, 5, 6, 8), "2, 3, 4, 5, 6 or 8"),
    "kv_group_size": (lambda size: size in (32, 64, 128), "32, 64 or 128"),
    "quantized_kv_start": (_at_least(0), "a number of tokens, or 0"),
    "prefill_step_size": (_at_least(1), "a number of tokens"),
}
"""Option -> which values it takes, and the words for them."""

OURS = {
    "max_tokens": "--max-tokens",
    "num_draft_tokens": "--draft-tokens",
    "draft_model": "--draft-model",
    "temp": "--temperature",
    "model": "--model",
    "seed": "each request",
}
"""What sets it instead."""


@dataclass(frozen=True)
class Launch:
    """Arguments of `runners.mlx.model.Model`."""

    model: str
    draft: str | None
    draft_tokens: int | None
    options: Mapping[str, int]


def canonical(option: str) -> str:
    """mlx-lm's keyword, however the option is spelled."""
    return option.strip().lstrip("-").replace("-", "_")


def launch_of(spec: LaunchSpec, package: Package) -> Launch:
    """The launch as arguments.

    Raises:
        UsageError: no model folder, another way of speculating, or an option or value that mlx-lm
            does not have.
    """
    speculation = spec.speculation
    drafting = not speculation.is_plain
    if drafting and speculation.method != METHOD:
        raise UsageError(
            f"{DISTRIBUTION} cannot speculate by {speculation.method!r}, only by {METHOD!r}"
        )
    if speculation.synthetic is not None:
        raise UsageError(f"{DISTRIBUTION} has no synthetic acceptance")
    model = model_folder(spec.model, "--model", DISTRIBUTION, KINDS)
    draft = None
    if drafting:
        draft = model_folder(speculation.draft_model, "--draft-model", DISTRIBUTION, KINDS)
    keywords = package.drafting if drafting else package.plain
    options = {}
    for option, value in spec.options:
        name = canonical(option)
        options[name] = _value(option, name, value, package)
        if name not in keywords:
            raise UsageError(f"{DISTRIBUTION} ignores {name} with a draft model: leave it away")
    return Launch(model, draft, speculation.draft_tokens if drafting else None, options)


def _value(option: str, name: str, value: OptionValue, package: Package) -> int:
    if name in OURS:
        raise UsageError(f"{DISTRIBUTION}'s option {option} is set by {OURS[name]}")
    free = [known for known in OPTIONS if known in package.plain]
    if name not in free:
        hint = nearest(name, free) or f"known: {', '.join(free)}"
        raise UsageError(f"{DISTRIBUTION} has no option {option!r}; {hint}")
    allowed, words = OPTIONS[name]
    try:
        number = int(str(value))
    except ValueError:
        number = None
    if number is None or not allowed(number):
        text = str(value)[:100]
        raise UsageError(f"{DISTRIBUTION}'s option {option} cannot be {text!r}: expected {words}")
    return number
