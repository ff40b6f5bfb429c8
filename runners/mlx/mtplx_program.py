"""The program `mtplx`: where it is, its version, and the environment that it is started in.

Written after the source of mtplx 2.12.2; it was never run on the hardware that it is for.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import Missing, RunnerError
from runners.base.process import describe_exit
from runners.base.question import ask

NAME = "mtplx"
ASKING_S = 120.0
"""Limit for its version: a new environment compiles it first."""
ADVICE = (
    "install it in an environment of its own, python -m venv mtplx, mtplx/bin/pip install mtplx, "
    "and name its program: --mlx mtplx/bin/mtplx"
)

OURS = {
    # Settings of the user's that only this program would have: no file at all.
    "MTPLX_CONFIG": os.devnull,
    # It drafts by looking up the text as well; that would be counted as what the heads do.
    "MTPLX_CONTEXT_COPY": "0",
    # It holds back the tokens of long steps, to let them out one by one.
    "MTPLX_STREAM_PACER": "0",
    "HF_HUB_OFFLINE": "1",
    "NO_COLOR": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
KEYS = ("MTPLX_API_KEY", "MTPLX_AUTH")


@dataclass(frozen=True)
class Program:
    """An mtplx that answers."""

    path: str
    version: str
    python: str
    """Of its environment: its tokenizers are asked for prompts."""


def describe(program: str) -> Program | Missing:
    """What a program, by path or by name on PATH, says of itself."""
    found = shutil.which(os.path.expanduser(program))  # noqa: PTH111 - a name must stay a name
    if found is None:
        return Missing(f"{program!r:.200} is no program that can be run", ADVICE)
    if not is_apple_silicon():
        return Missing(
            f"{NAME} runs on Apple silicon only, and this is {sys.platform} on "
            f"{platform.machine()}",
            "measure MTP here with llama.cpp or vLLM",
        )
    return _ask(str(Path(found).absolute()))


def is_apple_silicon() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


@functools.cache
def _ask(path: str) -> Program | Missing:
    try:
        answer = ask([path, "--version"], env=environment(), timeout_s=ASKING_S)
    except RunnerError as error:
        return Missing(f"{path} cannot be used: {error}", ADVICE)
    told = re.search(rf"^{NAME} (\S{{1,40}})", answer.out, re.MULTILINE)
    if answer.returncode != 0 or told is None:
        last = (answer.errors.strip() or answer.out.strip()).splitlines()[-1:]
        reason = ": ".join([f"--version {describe_exit(answer.returncode)}", *last])[:300]
        return Missing(f"{path} cannot be used: {reason}", ADVICE)
    python = _python_beside(Path(path))
    if python is None:
        return Missing(
            f"{path} lies beside no python3",
            "name the mtplx in the bin folder of its own environment",
        )
    return Program(path, told[1], python)


def _python_beside(program: Path) -> str | None:
    """The Python of the environment; a link to the program may lie anywhere."""
    for folder in (program.parent, program.resolve().parent):
        if (python := folder / "python3").is_file():
            return str(python)
    return None


def environment(launch: str | None = None) -> Mapping[str, str]:
    """This process's own with `OURS` and without keys; `launch` is what /health will tell."""
    kept = {name: value for name, value in os.environ.items() if name not in KEYS}
    named = {} if launch is None else {"MTPLX_APP_LAUNCH_ID": launch}
    return {**kept, **OURS, **named}
