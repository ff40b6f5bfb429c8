"""What the installed llama-cpp-python says of itself: its devices and what `Llama` takes."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

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
        result = subprocess.run(  # noqa: S603 - our own module, by this very interpreter
            [sys.executable, "-P", "-m", CHILD, "--describe"],
            capture_output=True,
            timeout=IMPORT_S,
            check=True,
            text=True,
        )
        said = json.loads(result.stdout)
        return Package(version, tuple(said["devices"]), said["kinds"], said["constants"])
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        return Package(version, problem=lines[-1][:300] if lines else str(error))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        return Package(version, problem=str(error))
