"""How Ollama can be made to speculate, as far as a version and the place of its server allow."""

from __future__ import annotations

import os

from runners.base.speculation import PLAIN, Speculation
from runners.base.support import LengthLimit, MethodSupport, Need
from runners.ollama.build import Build

NO_SWITCH = "OLLAMA_SPECULATIVE_DECODING"
NO_SWITCH_NOTE = (
    f"no version of Ollama reads {NO_SWITCH}; what switches speculation on is DRAFT in a Modelfile "
    "or the parameter draft_num_predict (Ollama 0.30 and later): bench's --method and "
    "--draft-tokens"
)
INFERRED = "inferred from the sources"

NGRAMS = {
    "ngram-simple": 48,
    "ngram-map-k": 48,
    "ngram-map-k4v": 48,
    "ngram-mod": 64,
    "ngram-cache": 8,
}
"""Method -> its draft length in llama-server, which only a flag can change: Ollama passes none."""
TOO_OLD = "needs Ollama 0.30 or later: before, GGUF models ran without speculation"
WITHOUT = {
    "draft-model": "Ollama runs a draft GGUF whose architecture is not dflash as MTP heads "
    "(--spec-type draft-mtp), so that an ordinary draft model cannot be chosen",
    "dspark": "Ollama knows two kinds of draft GGUF, dflash and MTP heads",
    "eagle3": "Ollama knows two kinds of draft GGUF, dflash and MTP heads",
}


def support_of(method: str, build: Build) -> MethodSupport:
    """Whether an Ollama can speculate so, and what that takes."""
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if (reason := _against(method, build)) is not None:
        return MethodSupport(method, supported=False, note=reason)
    if method == "mtp":
        need, limit = Need.MTP_HEADS, LengthLimit.CHAINED_HEADS
        note = f"needs {need.value}"
        if NO_SWITCH in os.environ:
            note = f"{note}; {NO_SWITCH_NOTE}"
        return MethodSupport(method, supported=True, note=note, needs=(need,), limit=limit)
    if method == "dflash":
        need = Need.DFLASH_DRAFT
        note = f"needs {need.value}"
        return MethodSupport(
            method, supported=True, note=note, needs=(need,), limit=LengthLimit.BLOCK
        )
    note = f"by LLAMA_ARG_SPEC_TYPE in its server's environment: {INFERRED}"
    return MethodSupport(method, supported=True, note=note, fixed_length=NGRAMS[method])


def _against(method: str, build: Build) -> str | None:
    """Why it cannot; None where it can."""
    if method not in ("mtp", "dflash", *NGRAMS):
        return WITHOUT.get(method, "Ollama has no such method")
    if not build.version.runs_llama_server:
        return f"{TOO_OLD} (this is {build.version.text})"
    if method in NGRAMS and not build.own:
        return (
            "set by a variable in the environment of the server (LLAMA_ARG_SPEC_TYPE), and this "
            "one runs already: give --ollama the binary instead of an address"
        )
    return None


def reason_against(speculation: Speculation, build: Build) -> str | None:
    """Why an Ollama cannot speculate so; None where it can."""
    if len(speculation.parts) > 1:
        return "it speculates in one way at a time"
    support = support_of(speculation.method, build)
    if not support.supported:
        return support.note
    if speculation.synthetic is not None:
        return "it has no acceptance by draw"
    if speculation.method == "dflash" and speculation.draft_model is None:
        return f"method dflash needs --draft-model: {Need.DFLASH_DRAFT.value}"
    return None
