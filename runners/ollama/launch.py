"""A launch as parameters of the model and as variables of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import LaunchSpec, UsageError
from runners.base.model_files import refuse_folders
from runners.base.stream import JSON
from runners.llama_cpp.methods import METHODS as LLAMA_METHODS
from runners.ollama.build import Build
from runners.ollama.files import architecture_of, files_of
from runners.ollama.methods import NGRAMS, reason_against
from runners.ollama.options import canonical, sort_options

DFLASH = "dflash"
"""The one architecture by which Ollama tells a draft model from MTP heads."""


@dataclass(frozen=True)
class Settings:
    """What one launch of Ollama is made of."""

    model: tuple[Path, ...]
    draft: tuple[Path, ...]
    """Files, more than one of a split model."""
    parameters: Mapping[str, JSON]
    variables: Mapping[str, str]
    """Without the address and the place of the models."""
    think: bool | str | None

    @property
    def parallel(self) -> int:
        """Requests that are answered at a time."""
        text = self.variables.get("OLLAMA_NUM_PARALLEL", "1")
        return max(1, int(text)) if text.isdecimal() else 1


def settings_of(spec: LaunchSpec, build: Build) -> Settings:
    """The settings of a launch.

    Raises:
        UsageError: no model file, or a method, an option or a value that this Ollama lacks.
    """
    refuse_folders(spec, "Ollama")
    if spec.model is None:
        raise UsageError("Ollama needs a model file: --model FILE.gguf")
    if not build.version.imports_files:
        raise UsageError(
            f"Ollama {build.version.text} cannot be given a file through its API: 0.5.5 and later "
            "can"
        )
    speculation = spec.speculation
    reason = None if speculation.is_plain else reason_against(speculation, build)
    if reason is not None:
        raise UsageError(f"Ollama cannot speculate by {speculation.method!r}: {reason}")
    draft = speculation.draft_model if speculation.method in ("mtp", DFLASH) else None
    if draft is not None:
        _check_draft(draft, speculation.method)
    given = {canonical(name): value for name, value in spec.options}
    options = sort_options(given, build)
    variables = _variables(build) | dict(options.variables)
    if speculation.method in NGRAMS:
        variables["LLAMA_ARG_SPEC_TYPE"] = LLAMA_METHODS[speculation.method].spec_type
    context = options.variables.get("OLLAMA_CONTEXT_LENGTH", "")
    parameters: dict[str, JSON] = {
        "num_ctx": int(context) if context.isdecimal() else spec.context,
        **options.parameters,
    }
    if build.version.runs_llama_server:
        # A model of Ollama's library may bring a length of its own; 0: none.
        drafted = 0 if speculation.method in NGRAMS else speculation.draft_tokens or 0
        parameters["draft_num_predict"] = drafted
    return Settings(
        files_of(spec.model),
        () if draft is None else files_of(draft),
        parameters,
        variables,
        options.think,
    )


def _check_draft(draft: Path, method: str) -> None:
    """Ollama goes by the file's architecture, whatever was asked for.

    Raises:
        UsageError: it would speculate in another way.
    """
    found = architecture_of(draft)
    if found is not None and (found == DFLASH) != (method == DFLASH):
        runs = "dflash" if found == DFLASH else "mtp"
        raise UsageError(
            f"--draft-model {draft}: its architecture is {found}, and Ollama would run it as "
            f"{runs}, not as {method}"
        )


def _variables(build: Build) -> dict[str, str]:
    """What every server of ours has, where the user does not say otherwise."""
    if not build.own:
        return {}
    ours = {
        "OLLAMA_NUM_PARALLEL": "1",
        # Never unloaded between requests.
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
    }
    if build.version.runs_llama_server:
        ours |= {
            # The GGUF's own chat template in its llama-server, as llama.cpp has it.
            "OLLAMA_GO_TEMPLATE": "0",
            "LLAMA_ARG_ENDPOINT_METRICS": "1",
            "LLAMA_ARG_ENDPOINT_SLOTS": "1",
            # A prompt taken from a cache would not be measured.
            "LLAMA_ARG_CACHE_RAM": "0",
        }
    return ours
