"""What an environment's mlx-lm says of itself."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import Missing, RunnerError
from runners.base.environments import environment_python
from runners.base.question import describe_child

CHILD = Path(__file__).with_name("child.py")
NAME = "mlx"
MODULE = "mlx_lm"
DISTRIBUTION = "mlx-lm"
IMPORT_S = 120
"""The first import of a new environment compiles thousands of files."""

ADVICE = (
    "make an environment for it, python -m venv mlx, install it there, mlx/bin/pip install mlx-lm "
    '(on Linux: mlx/bin/pip install "mlx[cpu]" mlx-lm), and name its Python: --mlx mlx/bin/python'
)


@dataclass(frozen=True)
class Package:
    """mlx-lm in the environment of `python`."""

    python: str
    version: str
    mlx: str
    devices: tuple[str, ...]
    plain: tuple[str, ...]
    """Keywords of `generate_step`."""
    drafting: tuple[str, ...]
    """Keywords of `speculative_generate_step`."""
    mtp: tuple[str, ...]
    """Everything in it that is named after MTP."""


def describe(program: str | None) -> Package | Missing:
    """Ask the environment of a Python; None: of the one that is found here."""
    if program is None:
        return _found_here()
    python = shutil.which(os.path.expanduser(program))  # noqa: PTH111 - a name must stay a name
    if python is None:
        return Missing(f"{program!r:.200} is no program that can be run", ADVICE)
    return _ask(python)


def _found_here() -> Package | Missing:
    """That of this very process, or the one that `make runners` made."""
    if importlib.util.find_spec(MODULE) is not None:
        return _ask(sys.executable)
    if (python := environment_python(NAME)) is not None:
        return _ask(str(python))
    return Missing("no Python that has mlx-lm is named", ADVICE)


@functools.cache
def _ask(python: str) -> Package | Missing:
    try:
        said = describe_child(command(python), timeout_s=IMPORT_S, env=environment())
        return Package(
            python,
            str(said["version"]),
            str(said["mlx"]),
            *(tuple(map(str, said[key])) for key in ("devices", "plain", "drafting", "mtp")),
        )
    except (RunnerError, LookupError, TypeError) as error:
        return Missing(f"mlx-lm cannot be used through {python}: {error}", ADVICE)


def command(python: str) -> list[str]:
    """The child's command, for an argument to follow.

    -I: neither files of the user's folder nor settings meant for another Python count.
    """
    return [python, "-I", str(CHILD)]


def environment() -> Mapping[str, str]:
    """This process's own, but that nothing is looked up in the network."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
