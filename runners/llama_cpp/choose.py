"""Which build of llama.cpp a runner drives."""

from __future__ import annotations

import importlib.util
import shutil

from runners.llama_cpp.binary import Binary
from runners.llama_cpp.embedded import Embedded
from runners.llama_cpp.runner import LlamaCpp

PROGRAM = "llama-server"


def llama_cpp(program: str | None = None) -> LlamaCpp:
    """The named llama-server; else the embedded server; else a llama-server found on PATH."""
    if program is not None:
        return LlamaCpp(Binary(program))
    if importlib.util.find_spec("xllamacpp") is None and shutil.which(PROGRAM) is not None:
        return LlamaCpp(Binary(PROGRAM))
    return LlamaCpp(Embedded())
