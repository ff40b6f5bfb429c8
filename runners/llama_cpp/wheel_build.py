"""What the installed xllamacpp says of itself: devices, and the fields that can be set."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from runners.base.contract import RunnerError
from runners.base.question import describe_child

IMPORT_S = 30
CHILD = "runners.llama_cpp.child"


@dataclass(frozen=True)
class Wheel:
    """`problem` says why an installed build cannot be used; None where it can, or is not there."""

    version: str | None
    """None: not installed."""
    devices: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """Dotted path in `CommonParams` -> 'bool', 'int', 'float', 'str' or the name of an enum."""
    problem: str | None = None


@functools.cache
def describe() -> Wheel:
    """Ask the build, in a process of its own: a broken one crashes."""
    if importlib.util.find_spec("xllamacpp") is None:
        return Wheel(None)
    version = importlib.metadata.version("xllamacpp")
    try:
        said = describe_child([sys.executable, "-P", "-m", CHILD], timeout_s=IMPORT_S)
        return Wheel(version, tuple(said["devices"]), said["fields"])
    except (RunnerError, LookupError, TypeError) as error:
        return Wheel(version, problem=str(error))
