"""What one vLLM can do, asked of itself and kept on disk: its help takes it many seconds."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runners.base.contract import Missing, RunnerError, UsageError
from runners.base.kept import keep, read_kept
from runners.base.process import describe_exit
from runners.base.question import ask, describe_child
from runners.vllm.command import ADVICE, Command, command_of
from runners.vllm.help import Flag, Help, parse_help

_LOG = logging.getLogger(__name__)

ABOUT = Path(__file__).with_name("about.py")
CACHE = "vllm"
"""Where its help is kept."""
SCHEMA = 1
ASKING_S = 300.0
"""Limit for its help: it imports PyTorch and half of vLLM first, from a cold disk perhaps."""
ABOUT_S = 60.0
HELPS = ("--help=all", "--help")
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
        return Build(words, about.version, about.cpu, about.suffix, _help(words, about.version))
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
        return "of unknown version"
    answer = ask([*command.words[:-1], "--version"], env=environment(), timeout_s=ASKING_S)
    lines = answer.out.strip().splitlines()
    return lines[-1][:60] if answer.returncode == 0 and lines else "of unknown version"


def _help(words: tuple[str, ...], version: str) -> Help:
    """Its flags; of the same program in the same version, from the cache.

    Raises:
        RunnerError: it does not tell them.
    """
    try:
        changed = Path(words[0]).stat().st_mtime_ns
    except OSError:
        changed = 0
    stamp = json.dumps([SCHEMA, words, version, changed])
    if (kept := read_kept(CACHE, stamp)) is not None and (read := _read(kept)) is not None:
        return read
    found = _ask_help(words)
    keep(CACHE, stamp, json.dumps([asdict(flag) for flag in found.flags]))
    return found


def _ask_help(words: tuple[str, ...]) -> Help:
    _LOG.info("asking %s what it can do, once: that takes it half a minute", words[0])
    reason = ""
    for question in HELPS:
        answer = ask([*words, question], env=environment(), timeout_s=ASKING_S)
        if answer.returncode == 0:
            try:
                return parse_help(answer.out)
            except UsageError as error:
                reason = reason or str(error)
                continue
        last = (answer.errors.strip() or answer.out.strip()).splitlines()[-1:]
        reason = ": ".join([f"{question} {describe_exit(answer.returncode)}", *last])[:300]
    raise RunnerError(reason)


def _read(said: str) -> Help | None:
    """A kept answer; None where it is damaged."""
    try:
        return Help(
            tuple(
                Flag(
                    str(flag["name"]),
                    tuple(map(str, flag["spellings"])),
                    None if flag["negative"] is None else str(flag["negative"]),
                    str(flag["value"]),
                )
                for flag in json.loads(said)
            )
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


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
