"""What the installed llama-cpp-python says of itself: its devices and what `Llama` takes."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from runners.base.contract import RunnerError
from runners.base.question import describe_child

CHILD = "runners.llama_cpp_python.child"
MODULE = "llama_cpp"
DISTRIBUTION = "llama-cpp-python"
IMPORT_S = 60


@dataclass(frozen=True)
class Package:
    """`problem` says why an installed package cannot be used; None where it can, or is not
    there."""

    version: str | None
    """None: not installed."""
    devices: tuple[str, ...] = ()
    kinds: Mapping[str, str | None] = field(default_factory=dict)
    """Keyword of `Llama` -> 'bool', 'int', 'float', 'str', 'floats', or None for what no text can
    express."""
    constants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Keyword -> the names of its values, such as 'q8_0'."""
    problem: str | None = None


@functools.cache
def describe() -> Package:
    """Ask the package, in a process of its own: a broken one crashes."""
    if importlib.util.find_spec(MODULE) is None:
        return Package(None)
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    try:
        said = describe_child([sys.executable, "-P", "-m", CHILD], timeout_s=IMPORT_S)
        return Package(version, tuple(said["devices"]), said["kinds"], said["constants"])
    except (RunnerError, LookupError, TypeError) as error:
        return Package(version, problem=str(error))
