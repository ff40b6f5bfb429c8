"""A launch as the arguments of `mtplx serve`, by the names of mtplx 2.12.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.model_files import model_folder
from runners.base.spelling import nearest
from runners.mlx.mtplx_program import NAME
from runners.mlx.options import KINDS

METHOD = "mtp"
LONGEST = 100
"""Characters of a wrong value that are repeated."""


def _number(value: str) -> bool:
    return value.isascii() and value.isdigit() and int(value) > 0


def _fraction(value: str) -> bool:
    try:
        return 0 <= float(value) < float("inf")
    except ValueError:
        return False


def _one_of(*words: str) -> tuple[Callable[[str], bool], str]:
    return words.__contains__, " or ".join([", ".join(words[:-1]), words[-1]])


_NUMBER = (_number, "a whole number from 1 on")
_FRACTION = (_fraction, "a number from 0 on")
_TEXT = (bool, "a word")

OPTIONS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "profile": _TEXT,
    "context-window": _NUMBER,
    "prefill-chunk-tokens": _NUMBER,
    "paged-kv-quantization": _one_of("off", "q8", "q4"),
    "memory-limit": _TEXT,
    "fan-mode": _one_of("default", "smart", "max"),
    "verify-strategy": _TEXT,
    "verify-core": _TEXT,
    "draft-core": _one_of("stock", "device-d2", "device"),
    "draft-temperature": _FRACTION,
    "draft-top-p": _FRACTION,
    "draft-top-k": _NUMBER,
    "mtp-quant-bits": _NUMBER,
    "mtp-quant-group-size": _NUMBER,
    "mtp-quant-mode": _one_of("affine", "symmetric"),
    "ngram-prewarm": _TEXT,
}
"""Option -> which values it takes, and the words for them. Where a word is enough, mtplx itself
judges it when it starts."""
ALIASES = {"paged-kv-quant": "paged-kv-quantization", "kv-quant": "paged-kv-quantization"}
DRAFTING = ("draft-", "mtp-quant-", "verify-")
"""How the options begin that mean nothing to plain decoding."""

OURS = {
    "model": "--model",
    "depth": "--draft-tokens",
    "mtp": "--method",
    "no-mtp": "--method",
    "generation-mode": "--method",
    "stock-ar": "--method",
    "load-mtp": "--method",
    "no-load-mtp": "--method",
    "max-tokens": "--max-tokens",
    "temperature": "--temperature",
    "default-temperature": "--temperature",
    "top-p": "bench: every runner samples alike",
    "top-k": "bench: every runner samples alike",
    "host": "bench: it listens on 127.0.0.1",
    "port": "bench",
    "api-key": "bench: nobody else can reach the server",
    "no-auth": "bench: nobody else can reach the server",
    "ssd-session-cache": "bench: a cached prompt would not be measured",
    "adaptive-policy": "bench: the draft length is what is measured",
    "reasoning": "the model's own chat template, as in every runner",
    "reasoning-effort": "the model's own chat template, as in every runner",
    "chat-template-profile": "the model's own chat template, as in every runner",
    "max": "--runner-arg fan-mode=max",
}
"""What sets it instead."""


def canonical(option: str) -> str:
    """mtplx's own name without dashes in front: 'verify_core' -> 'verify-core'."""
    name = option.strip().lstrip("-").replace("_", "-")
    return ALIASES.get(name, name)


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at an option, by its canonical name."""
    return method == METHOD or not option.startswith(DRAFTING)


def arguments_of(spec: LaunchSpec) -> list[str]:
    """What follows `mtplx serve`, without host and port.

    Raises:
        UsageError: no model folder, another way of speculating, or an option or value that mtplx
            does not have.
    """
    speculation = spec.speculation
    if not speculation.is_plain and speculation.method != METHOD:
        raise UsageError(f"{NAME} cannot speculate by {speculation.method!r}, only by {METHOD!r}")
    if speculation.synthetic is not None:
        raise UsageError(f"{NAME} has no synthetic acceptance")
    if speculation.draft_model is not None:
        raise UsageError(f"{NAME} drafts with the model's own heads: leave --draft-model away")
    options = {canonical(name): _value(name, value) for name, value in spec.options}
    arguments = ["--model", model_folder(spec.model, "--model", NAME, KINDS)]
    if speculation.is_plain:
        arguments += ["--generation-mode", "ar"]
    else:
        arguments += ["--generation-mode", "mtp", "--depth", str(speculation.draft_tokens)]
    arguments += ["--adaptive-policy", "none"]
    if "context-window" not in options:
        arguments += ["--context-window", str(spec.context)]
    arguments += ["--ssd-session-cache", "off", "--no-stats-footer", "--no-auth"]
    return arguments + [word for name in options for word in (f"--{name}", options[name])]


def _value(option: str, value: OptionValue) -> str:
    name = canonical(option)
    if name in OURS:
        raise UsageError(f"{NAME}'s option {option} is set by {OURS[name]}")
    if name not in OPTIONS:
        hint = nearest(name, OPTIONS) or f"known: {', '.join(OPTIONS)}"
        raise UsageError(f"{NAME} has no option {option!r} that bench knows; {hint}")
    # 'off' of a suite file may come as a truth value.
    text = ("on" if value else "off") if isinstance(value, bool) else str(value).strip()
    allowed, words = OPTIONS[name]
    if text.startswith("-") or not allowed(text):
        raise UsageError(f"{NAME}'s option {option} cannot be {text[:LONGEST]!r}: expected {words}")
    return text
