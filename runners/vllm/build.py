"""What one vLLM can do, asked of itself and kept on disk: its help takes it many seconds."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.asked import UNKNOWN, asked_help, asked_version
from runners.base.command import Command
from runners.base.contract import Missing, RunnerError
from runners.base.help import Help
from runners.base.question import describe_child
from runners.vllm.command import ADVICE, command_of
from runners.vllm.help import parse_help

ABOUT = Path(__file__).with_name("about.py")
CACHE = "vllm"
"""Where its help is kept."""
ABOUT_S = 60.0
HELPS = (("--help=all",), ("--help",))
"""The first since 0.11 (October 2025), when the second began to list groups only. Before, it
looked for flags with 'all' in their names, or was an error."""


@dataclass(frozen=True)
class Build:
    """A vLLM that answers."""

    words: tuple[str, ...]
    """The command, for the model and the flags to follow."""
    version: str
    cpu: bool | None
    """Whether it computes on the processor; None: it does not say."""
    suffix: bool | None
    """Whether arctic-inference is installed beside it, which suffix decoding needs; None as
    above."""
    help: Help

    @property
    def takes_model_first(self) -> bool:
        """`vllm serve MODEL`, and not `--model MODEL`."""
        return self.words[-1] == "serve"

    @property
    def devices(self) -> tuple[str, ...]:
        """What it computes on, beside the processor."""
        return ("GPU",) if self.cpu is False else ()


def describe(program: str | None) -> Build | Missing:
    """What the vLLM of a program says of itself; None: of the one that is found here."""
    command = command_of(program)
    return command if isinstance(command, Missing) else _describe(command)


@functools.cache
def _describe(command: Command) -> Build | Missing:
    try:
        about = _about(command)
        words = (*command.words, *about.server) if command.is_python else command.words
        found = asked_help(
            words,
            version=about.version,
            questions=HELPS,
            read=parse_help,
            cache=CACHE,
            env=environment(),
        )
        return Build(words, about.version, about.cpu, about.suffix, found)
    except RunnerError as error:
        return Missing(f"{' '.join(command.words)} cannot be used as vLLM: {error}", ADVICE)


@dataclass(frozen=True)
class _About:
    version: str
    server: tuple[str, ...] = ()
    cpu: bool | None = None
    suffix: bool | None = None


def _about(command: Command) -> _About:
    """What its environment says of it; of a command whose Python cannot be told, its version.

    Raises:
        RunnerError: there is no vLLM in it.
    """
    if command.python is None:
        return _About(_version(command))
    said = describe_child([command.python, "-I", str(ABOUT)], timeout_s=ABOUT_S, env=environment())
    try:
        server = said["server"]
        if command.is_python and server is None:
            raise RunnerError("it has no server that this version of bench knows")
        return _About(
            f"{said['version']}, torch {said['torch']}" if said["torch"] else str(said["version"]),
            tuple(map(str, server or ())),
            bool(said["cpu"]),
            bool(said["suffix"]),
        )
    except (LookupError, TypeError) as error:
        raise RunnerError(f"says {said!r:.100} of itself: {error!r}") from None


def _version(command: Command) -> str:
    if command.words[-1] != "serve":
        return UNKNOWN
    return asked_version([*command.words[:-1], "--version"], environment())


def kept_variables() -> dict[str, str]:
    """This process's own variables, without its key and those by which it would log otherwise.

    What it speculates by, and why it ends, is read off its log.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("VLLM_API_KEY", "VLLM_CONFIGURE_LOGGING")
        and not name.startswith("VLLM_LOGGING_")
    }


def environment() -> Mapping[str, str]:
    """`kept_variables`, with nothing looked up in the network or sent there."""
    return kept_variables() | {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        # Its standard output is not kept.
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "NO_COLOR": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
