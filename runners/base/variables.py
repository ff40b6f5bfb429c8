"""Environment variables of a launch, as words of a command line to paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

SECRETS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_AUTH")
"""Ends of the names of variables that are not shown."""


def assignments(variables: Mapping[str, str]) -> list[str]:
    """`NAME=value` of each as a shell reads it, sorted; without those that are secret by name."""
    return [
        f"{name}={shlex.quote(value)}"
        for name, value in sorted(variables.items())
        if not name.upper().endswith(SECRETS)
    ]
