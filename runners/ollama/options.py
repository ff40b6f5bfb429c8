"""The options of the runner: Ollama's own names of parameters and of variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runners.base.contract import OptionValue, UsageError
from runners.base.option_text import switch
from runners.base.spelling import nearest
from runners.base.stream import JSON
from runners.ollama.build import Build
from runners.ollama.methods import NO_SWITCH, NO_SWITCH_NOTE

_INTEGER: Callable[[str], JSON] = int
PARAMETERS: Mapping[str, Callable[[str], JSON]] = {
    "num_ctx": _INTEGER,
    "num_batch": _INTEGER,
    "num_gpu": _INTEGER,
    "main_gpu": _INTEGER,
    "num_thread": _INTEGER,
    "num_keep": _INTEGER,
    "use_mmap": switch,
}
"""Parameters of a model that hold from its loading on -> how their values are read."""

VARIABLES = frozenset(
    {
        *("OLLAMA_CONTEXT_LENGTH", "OLLAMA_DEBUG", "OLLAMA_FLASH_ATTENTION", "OLLAMA_GO_TEMPLATE"),
        *("OLLAMA_GPU_OVERHEAD", "OLLAMA_KEEP_ALIVE", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_LLM_LIBRARY"),
        *("OLLAMA_LOAD_TIMEOUT", "OLLAMA_MAX_QUEUE", "OLLAMA_MULTIUSER_CACHE", "OLLAMA_NEW_ENGINE"),
        *("OLLAMA_NUM_PARALLEL", "OLLAMA_SCHED_SPREAD", "OLLAMA_VULKAN"),
    }
)
"""Variables of the server."""
CHILD = "LLAMA_ARG_"
"""How variables begin that Ollama's llama-server reads: it inherits them."""
THINK = "think"
LEVELS = ("low", "medium", "high", "max")

OURS = {
    "draft_num_predict": "--draft-tokens",
    "num_predict": "--max-tokens",
    "seed": "--seed",
    "temperature": "--temperature",
    **dict.fromkeys(
        (
            *("top_k", "top_p", "min_p", "typical_p", "tfs_z", "repeat_last_n", "repeat_penalty"),
            *("presence_penalty", "frequency_penalty", "mirostat", "mirostat_eta", "mirostat_tau"),
            *("penalize_newline", "stop"),
        ),
        "bench: every runner samples alike",
    ),
    "OLLAMA_HOST": "bench: the server listens on 127.0.0.1; of one that runs already, --ollama URL",
    "OLLAMA_MODELS": "bench: models are linked beside the run's log",
    "OLLAMA_MAX_LOADED_MODELS": "bench: one model at a time",
    "OLLAMA_NOPRUNE": "bench: models are linked beside the run's log",
    "OLLAMA_NO_CLOUD": "bench: nothing is looked up in the network",
    "LLAMA_ARG_SPEC_TYPE": "--method",
    "LLAMA_ARG_SPEC_DRAFT_N_MAX": "--draft-tokens",
    "LLAMA_ARG_SPEC_DRAFT_MODEL": "--draft-model",
    "LLAMA_ARG_MODEL": "--model",
    "LLAMA_ARG_CTX_SIZE": "num_ctx: Ollama passes it as a flag, which wins",
    "LLAMA_ARG_N_PARALLEL": "OLLAMA_NUM_PARALLEL: Ollama passes it as a flag, which wins",
    "LLAMA_ARG_FLASH_ATTN": "OLLAMA_FLASH_ATTENTION: Ollama passes it as a flag, which wins",
    "LLAMA_ARG_BATCH": "num_batch: Ollama passes it as a flag, which wins",
    "LLAMA_ARG_UBATCH": "num_batch: Ollama passes it as a flag, which wins",
    **dict.fromkeys(
        (
            *("LLAMA_ARG_PORT", "LLAMA_ARG_HOST", "LLAMA_ARG_API_PREFIX", "LLAMA_ARG_API_KEY_FILE"),
            *("LLAMA_ARG_SSL_KEY_FILE", "LLAMA_ARG_SSL_CERT_FILE", "LLAMA_ARG_REUSE_PORT"),
        ),
        "Ollama: it talks to its llama-server",
    ),
    **dict.fromkeys(
        ("LLAMA_ARG_ENDPOINT_METRICS", "LLAMA_ARG_ENDPOINT_SLOTS", "LLAMA_ARG_LOG_FILE"),
        "bench: it reads what they tell",
    ),
}
"""What sets it instead."""


@dataclass(frozen=True)
class Options:
    """A launch's options, sorted by where they go."""

    parameters: Mapping[str, JSON]
    variables: Mapping[str, str]
    think: bool | str | None
    """None: as the model's template has it."""


def canonical(option: str) -> str:
    """Ollama's own spelling: '--num-ctx' -> 'num_ctx', 'flash-attention' ->
    'OLLAMA_FLASH_ATTENTION'."""
    name = option.strip().lstrip("-").replace("-", "_")
    for known in (f"OLLAMA_{name.upper()}", name.upper()):
        if known in VARIABLES or known in OURS or known == NO_SWITCH:
            return known
    return name.upper() if name.upper().startswith(CHILD) else name.lower()


def sort_options(given: Mapping[str, OptionValue], build: Build) -> Options:
    """Options by where they go, their names being canonical.

    Raises:
        UsageError: there is no such option, it is not the user's to set or not in this Ollama, or
            its value cannot be read.
    """
    parameters: dict[str, JSON] = {}
    variables: dict[str, str] = {}
    think: bool | str | None = None
    for name, value in given.items():
        if name == NO_SWITCH:
            raise UsageError(f"{NO_SWITCH} does nothing: {NO_SWITCH_NOTE}")
        if name in OURS:
            raise UsageError(f"Ollama's option {name} is set by {OURS[name]}")
        if name in PARAMETERS:
            parameters[name] = _read(name, value, PARAMETERS[name])
        elif name == THINK:
            think = str(value) if str(value) in LEVELS else _read_switch(name, value)
        elif name in VARIABLES or name.startswith(CHILD):
            _check_place(name, build)
            variables[name] = str(int(value)) if isinstance(value, bool) else str(value)
        else:
            known = [*PARAMETERS, *VARIABLES, THINK]
            hint = nearest(name, known) or nearest(name.upper(), known)
            raise UsageError(f"Ollama has no option {name!r}" + (f"; {hint}" if hint else ""))
    return Options(parameters, variables, think)


def _check_place(name: str, build: Build) -> None:
    if not build.own:
        raise UsageError(
            f"{name} belongs to the environment of the server, and {build.address} runs already: "
            "give --ollama the binary instead of an address"
        )
    if name.startswith(CHILD) and not build.version.runs_llama_server:
        raise UsageError(
            f"{name} is read by the llama-server that Ollama runs since 0.30, and this is "
            f"{build.version.text}"
        )


def _read(name: str, value: OptionValue, kind: Callable[[str], JSON]) -> JSON:
    try:
        return kind(str(value))
    except ValueError as error:
        raise UsageError(f"Ollama's {name} cannot be {str(value)[:100]!r}: {error}") from None


def _read_switch(name: str, value: OptionValue) -> bool:
    try:
        return switch(str(value))
    except ValueError:
        expected = f"on, off, {', '.join(LEVELS)}"
        raise UsageError(
            f"Ollama's {name} cannot be {str(value)[:100]!r}: expected {expected}"
        ) from None


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at an option, by its canonical name."""
    if option.startswith("LLAMA_ARG_SPEC_DRAFT_"):
        return method in ("mtp", "dflash")
    return method != "none" or not option.startswith("LLAMA_ARG_SPEC_")
