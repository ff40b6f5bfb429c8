"""Which words start vLLM's server: a `vllm`, the Python of an environment, or a whole command."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from runners.base.command import Command, file_command, named_command
from runners.base.contract import Missing
from runners.base.environments import environment_python

NAME = "vllm"
ADVICE = (
    "install it in an environment of its own, python -m venv vllm, vllm/bin/pip install vllm, and "
    "name its program: --vllm vllm/bin/vllm"
)
SERVE = ("serve",)


def command_of(program: str | None) -> Command | Missing:
    """The command of a program; None: what is found here."""
    if program is not None:
        return named_command(program, name=NAME, advice=ADVICE, subcommand=SERVE)
    if (found := shutil.which(NAME)) is not None:
        return file_command(found, SERVE)
    if importlib.util.find_spec(NAME) is not None:
        return Command((sys.executable,), sys.executable)
    if (python := environment_python(NAME)) is not None:
        return Command((str(python),), str(python))
    return Missing("there is no vllm on PATH", ADVICE)
