"""Which words start a server's program: a file, the Python of an environment, a whole command."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import Missing

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


def named_command(
    program: str, *, name: str, advice: str, subcommand: Sequence[str] = ()
) -> Command | Missing:
    """The command of what the user named, whose program is usually called `name`.

    A file on its own is followed by the `subcommand` that serves; a whole command is taken as it
    is. `advice` goes with what is none.
    """
    if (found := _which(program)) is not None:
        return file_command(found, subcommand)
    try:
        words = shlex.split(program)
    except ValueError as error:
        return Missing(f"{program!r:.200} is no command: {error}", advice)
    first = _which(words[0]) if words else None
    if first is None:
        what = words[0] if words else program
        if what and os.path.isdir(_expanded(what)):  # noqa: PTH112 - it takes any text
            return Missing(f"{what} is a folder", f"name the {name} or the python in it")
        return Missing(f"{what!r:.200} is no program that can be run", advice)
    if len(words) == 1:
        return file_command(first, subcommand)
    return Command((first, *words[1:]), _python_of(first))


def chosen_command(
    program: str | None,
    *,
    name: str,
    advice: str,
    subcommand: Sequence[str] = (),
    elsewhere: Callable[[], Command | None] = lambda: None,
) -> Command | Missing:
    """The command that the user named, as `named_command`; None: `name` on PATH, or `elsewhere`."""
    if program is not None:
        return named_command(program, name=name, advice=advice, subcommand=subcommand)
    if (found := shutil.which(name)) is not None:
        return file_command(found, subcommand)
    return elsewhere() or Missing(f"there is no {name} on PATH", advice)


def importable(package: str) -> Command | None:
    """This very Python, if it has the package."""
    if importlib.util.find_spec(package) is None:
        return None
    return Command((sys.executable,), sys.executable)


def file_command(path: str, subcommand: Sequence[str] = ()) -> Command:
    """The command of a file: a Python, or a program followed by its `subcommand`."""
    python = _python_of(path)
    return Command((path,) if python == path else (path, *subcommand), python)


def _expanded(program: str) -> str:
    """With '~' replaced; a plain name stays a name, and no text is an error."""
    return os.path.expanduser(program)  # noqa: PTH111


def _which(program: str) -> str | None:
    found = shutil.which(_expanded(program))
    # Links are left alone: a virtual environment's Python is one.
    return None if found is None else str(Path(found).absolute())


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
