"""What a server's program says of itself, where the program is a Python package's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runners.base.asked import UNKNOWN, asked_help, package_version
from runners.base.command import Command
from runners.base.contract import RunnerError
from runners.base.help import Help
from runners.endpoint.launched import Build


def describe_package(
    command: Command,
    *,
    package: str,
    title: str,
    module: Sequence[str],
    questions: Sequence[Sequence[str]],
    read: Callable[[str], Help],
    cache: str,
    env: Mapping[str, str],
) -> Build:
    """Its version and its flags. `module` are the words by which a Python serves it.

    Raises:
        RunnerError: the package is not there, or what answers is another program.
    """
    words = (*command.words, *module) if command.is_python else command.words
    version = None
    if command.python is not None:
        version = package_version(command.python, package, env)
        if version is None:
            raise RunnerError(f"{title} is not installed there")
    found = asked_help(
        words,
        version=version or UNKNOWN,
        questions=questions,
        read=read,
        cache=cache,
        env=env,
    )
    return Build(words, version or UNKNOWN, found)
