"""What the installed OpenVINO GenAI says of itself: its devices and their properties."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from runners.base.contract import RunnerError
from runners.base.question import describe_child

CHILD = "runners.openvino.child"
MODULE = "openvino_genai"
DISTRIBUTION = "openvino-genai"
IMPORT_S = 60


@dataclass(frozen=True)
class Package:
    """`problem` says why an installed package cannot be used; None where it can, or is not
    there."""

    version: str | None
    """None: not installed."""
    openvino: str = ""
    devices: tuple[str, ...] = ()
    """'CPU: Intel …, computes in bf16, KV cache u8', those that OpenVINO can use here."""
    properties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Device -> the names of its properties that can be set."""
    problem: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The properties of all devices."""
        return tuple(dict.fromkeys(name for names in self.properties.values() for name in names))


def command() -> list[str]:
    """The child's command, for arguments to follow.

    -P: a file of the user's folder must not take the place of a module.
    """
    return [sys.executable, "-P", "-m", CHILD]


@functools.cache
def describe() -> Package:
    """Ask the package, in a process of its own: a broken one crashes."""
    if importlib.util.find_spec(MODULE) is None:
        return Package(None)
    try:
        said = describe_child(command(), timeout_s=IMPORT_S)
        return Package(
            version=str(said["version"]),
            openvino=str(said["openvino"]),
            devices=tuple(map(str, said["devices"])),
            properties={
                str(device): tuple(map(str, names)) for device, names in said["properties"].items()
            },
        )
    except (RunnerError, LookupError, TypeError, AttributeError) as error:
        return Package("of unknown version", problem=str(error))
