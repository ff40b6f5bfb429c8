"""The text-generation-launcher that is named, or found here, and what it says of itself."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from runners.base.asked import asked_help, asked_version
from runners.base.command import Command, chosen_command
from runners.base.contract import Missing, RunnerError
from runners.base.help import Help, parse_flags
from runners.endpoint.launched import Build

NAME = "text-generation-launcher"
ADVICE = (
    "it comes in the container image ghcr.io/huggingface/text-generation-inference, or is built "
    "from its sources; name it: --tgi text-generation-launcher, or a command that runs it"
)
HELPS = (("--help",),)
CORE = frozenset({"model-id", "port", "hostname", "speculate", "max-total-tokens"})


def describe(program: str | None) -> Build | Missing:
    """What the launcher of a program says of itself; None: of the one that is found here."""
    command = chosen_command(program, name=NAME, advice=ADVICE)
    return command if isinstance(command, Missing) else _describe(command)


@functools.cache
def _describe(command: Command) -> Build | Missing:
    try:
        version = asked_version([*command.words, "--version"], os.environ)
        found = asked_help(
            command.words,
            version=version,
            questions=HELPS,
            read=parse_help,
            cache="tgi",
            env=os.environ,
        )
    except RunnerError as error:
        return Missing(f"{' '.join(command.words)} cannot be used as TGI: {error}", ADVICE)
    return Build(command.words, version.removeprefix(f"{NAME} "), found)


def parse_help(text: str) -> Help:
    """The flags of `text-generation-launcher --help`.

    Raises:
        UsageError: this is not the help of TGI's launcher.
    """
    return parse_flags(text, core=CORE, whose="TGI")


def environment(build: Build) -> Mapping[str, str]:
    """This process's own variables, without those that set flags: each flag has one of its name.

    A SPECULATE that somebody has set would make plain decoding speculate.
    """
    flags = {flag.name.upper().replace("-", "_") for flag in build.help.flags}
    return {name: text for name, text in os.environ.items() if name not in {*flags, "LOG_LEVEL"}}
