"""The SGLang that is named, or found here: how it is started, its version and its flags."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping

from runners.base.asked import UNKNOWN, asked_help, package_version
from runners.base.command import Command, file_command, named_command
from runners.base.contract import Missing, RunnerError
from runners.base.help import Help, parse_flags
from runners.endpoint.launched import Build

NAME = "sglang"
ADVICE = (
    "install it in an environment of its own, python -m venv sglang, sglang/bin/pip install "
    "sglang, and name its program: --sglang sglang/bin/sglang"
)
SERVE = ("serve",)
MODULE = ("-m", "sglang.launch_server")
"""What serves in every version; `sglang serve` is newer."""
HELPS = (("--model-type=llm", "--help"), ("--help",))
"""Without its type of models it lists the flags for diffusion models as well."""
OTHERS = "--- Help for Diffusion Model Server ---"
CORE = frozenset({"model-path", "host", "port", "served-model-name"})
LEFT_OUT = ("SGLANG_SIMULATE_ACC_", "SGLANG_TEST_")
"""Beginnings of variables by which it would not measure what it does."""


def describe(program: str | None) -> Build | Missing:
    """What the SGLang of a program says of itself; None: of the one that is found here."""
    command = _command(program)
    return command if isinstance(command, Missing) else _describe(command)


def _command(program: str | None) -> Command | Missing:
    if program is not None:
        return named_command(program, name=NAME, advice=ADVICE, subcommand=SERVE)
    if (found := shutil.which(NAME)) is not None:
        return file_command(found, SERVE)
    if importlib.util.find_spec(NAME) is not None:
        return Command((sys.executable,), sys.executable)
    return Missing("there is no sglang on PATH", ADVICE)


@functools.cache
def _describe(command: Command) -> Build | Missing:
    words = (*command.words, *MODULE) if command.is_python else command.words
    try:
        version = None
        if command.python is not None:
            version = package_version(command.python, NAME, environment())
            if version is None:
                raise RunnerError("SGLang is not installed there")
        found = asked_help(
            words,
            version=version or UNKNOWN,
            questions=HELPS,
            read=parse_help,
            cache=NAME,
            env=environment(),
        )
    except RunnerError as error:
        return Missing(f"{' '.join(command.words)} cannot be used as SGLang: {error}", ADVICE)
    return Build(words, version or UNKNOWN, found)


def parse_help(text: str) -> Help:
    """The flags of `sglang serve --help`.

    Raises:
        UsageError: this is not the help of an SGLang server.
    """
    return parse_flags(text.partition(OTHERS)[0], core=CORE, whose="SGLang")


def environment() -> Mapping[str, str]:
    """This process's own variables, without those by which SGLang invents what it accepts."""
    return {name: text for name, text in os.environ.items() if not name.startswith(LEFT_OUT)}
