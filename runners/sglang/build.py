"""The SGLang that is named, or found here: how it is started, its version and its flags."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from runners.base.command import Command, chosen_command, importable
from runners.base.contract import Missing, RunnerError
from runners.base.help import Help, parse_flags
from runners.endpoint.launched import Build
from runners.endpoint.packaged import describe_package

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
    command = chosen_command(
        program, name=NAME, advice=ADVICE, subcommand=SERVE, elsewhere=lambda: importable(NAME)
    )
    return command if isinstance(command, Missing) else _describe(command)


@functools.cache
def _describe(command: Command) -> Build | Missing:
    try:
        return describe_package(
            command,
            package=NAME,
            title="SGLang",
            module=MODULE,
            questions=HELPS,
            read=parse_help,
            cache=NAME,
            env=environment(),
        )
    except RunnerError as error:
        return Missing(f"{' '.join(command.words)} cannot be used as SGLang: {error}", ADVICE)


def parse_help(text: str) -> Help:
    """The flags of `sglang serve --help`.

    Raises:
        UsageError: this is not the help of an SGLang server.
    """
    return parse_flags(text.partition(OTHERS)[0], core=CORE, whose="SGLang")


def environment() -> Mapping[str, str]:
    """This process's own variables, without those by which SGLang invents what it accepts."""
    return {name: text for name, text in os.environ.items() if not name.startswith(LEFT_OUT)}
