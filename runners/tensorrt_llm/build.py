"""The trtllm-serve that is named, or found here, and what it says of itself."""

from __future__ import annotations

import functools
import os
import re

from runners.base.command import Command, chosen_command
from runners.base.contract import Missing, RunnerError
from runners.base.help import Help, parse_flags
from runners.endpoint.launched import Build
from runners.endpoint.packaged import describe_package

NAME = "trtllm-serve"
ADVICE = (
    "it comes in the container image nvcr.io/nvidia/tensorrt-llm/release; name it: "
    "--tensorrt-llm trtllm-serve, or a command that runs it"
)
SERVE = ("serve",)
MODULE = ("-m", "tensorrt_llm.commands.serve", "serve")
HELPS = (("--help",),)
CORE = frozenset({"host", "port", "max_batch_size", "max_seq_len"})


def describe(program: str | None) -> Build | Missing:
    """What the trtllm-serve of a program says of itself; None: of the one that is found here."""
    command = chosen_command(program, name=NAME, advice=ADVICE, subcommand=SERVE)
    return command if isinstance(command, Missing) else _describe(command)


@functools.cache
def _describe(command: Command) -> Build | Missing:
    try:
        return describe_package(
            command,
            package="tensorrt_llm",
            title="TensorRT-LLM",
            module=MODULE,
            questions=HELPS,
            read=parse_help,
            cache="tensorrt-llm",
            env=os.environ,
        )
    except RunnerError as error:
        return Missing(f"{' '.join(command.words)} cannot be used as trtllm-serve: {error}", ADVICE)


def parse_help(text: str) -> Help:
    """The flags of `trtllm-serve serve --help`.

    Raises:
        UsageError: this is not the help of trtllm-serve.
    """
    return parse_flags(text, core=CORE, whose="trtllm-serve")


def release(version: str) -> tuple[int, int] | None:
    """'1.3.0rc15' -> (1, 3); None where it is not known."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return None if found is None else (int(found[1]), int(found[2]))
