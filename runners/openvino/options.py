"""A launch as the arguments of the child's model, by OpenVINO's own names.

Options are the properties of the devices that are here, and a few of OpenVINO GenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.option_text import switch
from runners.base.spelling import nearest
from runners.openvino.package import DISTRIBUTION, Package

DRAFT_MODEL = "draft-model"
LOOKUP = "ngram"
METHODS = (DRAFT_MODEL, LOOKUP)

DEVICE = "device"
NGRAM_SIZE = "max_ngram_size"
DEFAULT_NGRAM_SIZE = 3
"""OpenVINO GenAI has no default of its own."""
OURS = {
    "num_assistant_tokens": "--draft-tokens",
    "assistant_confidence_threshold": "--draft-tokens, which it excludes",
    "prompt_lookup": "--method",
    "draft_model": "--draft-model",
    "models_path": "--model",
    "max_new_tokens": "--max-tokens",
    "temperature": "--temperature",
    "do_sample": "--temperature",
    "rng_seed": "each request",
    "enable_prefix_caching": "the runner: each prompt is read anew",
}
"""GenAI's names of what something else sets."""
SPELLINGS = {
    "threads": "INFERENCE_NUM_THREADS",
    "t": "INFERENCE_NUM_THREADS",
    "num_threads": "INFERENCE_NUM_THREADS",
    "inference_precision": "INFERENCE_PRECISION_HINT",
    "execution_mode": "EXECUTION_MODE_HINT",
}
"""Other names that people know a property by."""

Property = bool | int | str


@dataclass(frozen=True)
class Launch:
    """Arguments of `runners.openvino.model.Model`."""

    model: str
    device: str
    properties: Mapping[str, Property]
    draft: str | None = None
    """The GGUF file of the draft model."""
    draft_tokens: int | None = None
    ngram_size: int | None = None
    """None: no prompt lookup."""


def canonical(option: str) -> str:
    """A property in capitals, GenAI's own names in small letters."""
    name = option.strip().lstrip("-").replace("-", "_").lower()
    if name in (DEVICE, NGRAM_SIZE) or name in OURS:
        return name
    return SPELLINGS.get(name, name.upper())


def launch_of(spec: LaunchSpec, package: Package) -> Launch:
    """The launch as arguments.

    Raises:
        UsageError: no model or draft model, another way of speculating, or an option that OpenVINO
            does not have here.
    """
    if spec.model is None:
        raise UsageError(f"{DISTRIBUTION} needs a model: --model FILE.gguf")
    speculation = spec.speculation
    if not speculation.is_plain and speculation.method not in METHODS:
        raise UsageError(
            f"{DISTRIBUTION} cannot speculate by {speculation.method!r}, "
            f"only by {' or '.join(map(repr, METHODS))}"
        )
    if speculation.synthetic is not None:
        raise UsageError(f"{DISTRIBUTION} has no synthetic acceptance")
    draft = None
    if speculation.method == DRAFT_MODEL:
        if speculation.draft_model is None:
            raise UsageError(f"{DISTRIBUTION} needs a draft model: --draft-model FILE.gguf")
        draft = str(speculation.draft_model.absolute())
    device, size = "CPU", DEFAULT_NGRAM_SIZE
    properties: dict[str, Property] = {}
    for option, value in spec.options:
        name = canonical(option)
        if name == DEVICE:
            device = str(value)
        elif name == NGRAM_SIZE:
            size = _size(option, value)
        else:
            properties[_known(option, name, package)] = _value(value)
    return Launch(
        model=str(spec.model.absolute()),
        device=device,
        properties=properties,
        draft=draft,
        draft_tokens=speculation.draft_tokens,
        ngram_size=size if speculation.method == LOOKUP else None,
    )


def _known(option: str, name: str, package: Package) -> str:
    if name in OURS:
        raise UsageError(f"{DISTRIBUTION}'s option {option} is set by {OURS[name]}")
    if name not in package.names:
        free = [*package.names, DEVICE, NGRAM_SIZE]
        hint = nearest(name, free) or f"known: {', '.join(free)}"
        raise UsageError(f"{DISTRIBUTION} has no option {option!r}; {hint}")
    return name


def _size(option: str, value: OptionValue) -> int:
    text = str(value)[:100]
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"{DISTRIBUTION}'s option {option} cannot be {text!r}: expected 1 or more")
    return int(text)


def _value(value: OptionValue) -> Property:
    """Whole numbers and switches as such: OpenVINO takes '1' for no switch."""
    if isinstance(value, bool | int):
        return value
    text = str(value)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return switch(text)
    except ValueError:
        return text
