"""What a server's program says of itself: its version, and its help, which is kept on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from runners.base.contract import RunnerError, UsageError
from runners.base.help import Flag, Help
from runners.base.kept import keep, read_kept
from runners.base.process import describe_exit
from runners.base.question import ask

_LOG = logging.getLogger(__name__)

SCHEMA = 1
ASKING_S = 300.0
"""Limit: such a program imports PyTorch first, from a cold disk perhaps."""


UNKNOWN = "of unknown version"
LONGEST_VERSION = 60


def asked_version(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """The last line that `argv`, such as [program, '--version'], prints.

    Raises:
        RunnerError: the program cannot be started, or does not end.
    """
    answer = ask(argv, env=env, timeout_s=ASKING_S)
    lines = answer.out.strip().splitlines()
    return lines[-1][:LONGEST_VERSION] if answer.returncode == 0 and lines else UNKNOWN


def package_version(python: str, distribution: str, env: Mapping[str, str]) -> str | None:
    """Of a distribution that is installed in another Python; None: it is not.

    Raises:
        RunnerError: the Python cannot be started, or does not end.
    """
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    said = asked_version([python, "-I", "-c", code], env)
    return None if said == UNKNOWN else said


def asked_help(
    words: Sequence[str],
    *,
    version: str,
    questions: Sequence[Sequence[str]],
    read: Callable[[str], Help],
    cache: str,
    env: Mapping[str, str],
) -> Help:
    """The flags that the command `words` takes; of the same one in the same version, from `cache`.

    `questions` are what asks for them, tried in turn; `read` is a `UsageError` for what is no such
    help.

    Raises:
        RunnerError: it does not tell them.
    """
    try:
        changed = Path(words[0]).stat().st_mtime_ns
    except OSError:
        changed = 0
    stamp = json.dumps([SCHEMA, list(words), version, changed])
    if (kept := read_kept(cache, stamp)) is not None and (known := _read(kept)) is not None:
        return known
    _LOG.info("asking %s what it can do, once: that may take it half a minute", words[0])
    found = _ask(words, questions, read, env)
    keep(cache, stamp, json.dumps([asdict(flag) for flag in found.flags]))
    return found


def _ask(
    words: Sequence[str],
    questions: Sequence[Sequence[str]],
    read: Callable[[str], Help],
    env: Mapping[str, str],
) -> Help:
    reason = ""
    for question in questions:
        answer = ask([*words, *question], env=env, timeout_s=ASKING_S)
        if answer.returncode == 0:
            try:
                return read(answer.out)
            except UsageError as error:
                reason = reason or str(error)
                continue
        last = (answer.errors.strip() or answer.out.strip()).splitlines()[-1:]
        reason = ": ".join([f"{' '.join(question)} {describe_exit(answer.returncode)}", *last])[
            :300
        ]
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
