"""What an environment's mlx-lm says of itself."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import Missing

CHILD = Path(__file__).with_name("child.py")
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
    """Ask the environment of a Python; None: that of this very process."""
    if program is None:
        if importlib.util.find_spec(MODULE) is None:
            return Missing("no Python that has mlx-lm is named", ADVICE)
        return _ask(sys.executable)
    python = shutil.which(program)
    if python is None:
        return Missing(f"{program} is no program that can be run", ADVICE)
    return _ask(python)


@functools.cache
def _ask(python: str) -> Package | Missing:
    """In a process of its own: a broken one crashes."""
    try:
        result = subprocess.run(  # noqa: S603 - the Python that the user named
            [*command(python), "--describe"],
            capture_output=True,
            timeout=IMPORT_S,
            check=True,
            text=True,
            errors="replace",
            env=environment(),
        )
        said = json.loads(result.stdout.splitlines()[-1])
        return Package(
            python,
            str(said["version"]),
            str(said["mlx"]),
            *(tuple(map(str, said[key])) for key in ("devices", "plain", "drafting", "mtp")),
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        problem = lines[-1][:300] if lines else str(error)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError) as error:
        problem = str(error)[:300]
    return Missing(f"mlx-lm cannot be used through {python}: {problem}", ADVICE)


def command(python: str) -> list[str]:
    """The child's command, for an argument to follow.

    -I: neither files of the user's folder nor settings meant for another Python count.
    """
    return [python, "-I", str(CHILD)]


def environment() -> Mapping[str, str]:
    """This process's own, but that nothing is looked up in the network."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
