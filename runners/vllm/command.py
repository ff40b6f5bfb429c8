"""Which words start vLLM's server: a `vllm`, the Python of an environment, or a whole command."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import Missing
from runners.base.environments import environment_python

NAME = "vllm"
ADVICE = (
    "install it in an environment of its own, python -m venv vllm, vllm/bin/pip install vllm, and "
    "name its program: --vllm vllm/bin/vllm"
)
_PYTHON = re.compile(r"^python[\d.]*$")
_EXEC = "'''exec' "


@dataclass(frozen=True)
class Command:
    """A command as the user named it, with its first word made absolute."""

    words: tuple[str, ...]
    python: str | None
    """The Python that it runs in, where that can be told."""

    @property
    def is_python(self) -> bool:
        """It is nothing but a Python: which of its modules serves has to be asked."""
        return self.words == (self.python,)


def command_of(program: str | None) -> Command | Missing:
    """The command of a program; None: what is found here."""
    if program is not None:
        return _named(program)
    if (found := shutil.which(NAME)) is not None:
        return _single(found)
    if importlib.util.find_spec(NAME) is not None:
        return Command((sys.executable,), sys.executable)
    if (python := environment_python(NAME)) is not None:
        return Command((str(python),), str(python))
    return Missing("there is no vllm on PATH", ADVICE)


def _named(program: str) -> Command | Missing:
    if (found := _which(program)) is not None:
        return _single(found)
    try:
        words = shlex.split(program)
    except ValueError as error:
        return Missing(f"{program!r:.200} is no command: {error}", ADVICE)
    first = _which(words[0]) if words else None
    if first is None:
        what = words[0] if words else program
        if what and os.path.isdir(_expanded(what)):  # noqa: PTH112 - it takes any text
            return Missing(f"{what} is a folder", "name the vllm or the python in it")
        return Missing(f"{what!r:.200} is no program that can be run", ADVICE)
    if len(words) == 1:
        return _single(first)
    return Command((first, *words[1:]), _python_of(first))


def _expanded(program: str) -> str:
    """With '~' replaced; a plain name stays a name, and no text is an error."""
    return os.path.expanduser(program)  # noqa: PTH111


def _which(program: str) -> str | None:
    found = shutil.which(_expanded(program))
    # Links are left alone: a virtual environment's Python is one.
    return None if found is None else str(Path(found).absolute())


def _single(path: str) -> Command:
    python = _python_of(path)
    return Command((path,) if python == path else (path, "serve"), python)


def _python_of(path: str) -> str | None:
    """The program itself, or the Python that its first lines name."""
    if _PYTHON.search(Path(path).name):
        return path
    try:
        with Path(path).open("rb") as file:
            head = file.read(1024).decode(errors="replace")
    except OSError:
        return None
    first, _, second = head.partition("\n")
    # pip and uv write a shell's line into scripts whose Python has a path that '#!' cannot hold.
    if first == "#!/bin/sh" and second.startswith(_EXEC):
        line = second.partition("\n")[0].removeprefix(_EXEC)
    elif first.startswith("#!"):
        line = first.removeprefix("#!")
    else:
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return words[0] if words and _PYTHON.search(Path(words[0]).name) else None
