"""Builds of vLLM as their help describes them."""

from __future__ import annotations

from pathlib import Path

from runners.vllm.build import Build
from runners.vllm.help import parse_help

FOLDER = Path(__file__).with_name("help")


def help_text(name: str) -> str:
    """`--help` ('0.10.2') or `--help=all` ('0.10.2-all') of a version, as it was printed.

    The first two lines of each flag were kept: the flag, and the beginning of what it does. 0.32.0
    is the command's own output; the others are what the packages' own parsers print when they are
    run with the libraries of a later version.
    """
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def build_of(
    name: str = "0.32.0-all",
    *,
    words: tuple[str, ...] = ("/e/vllm", "serve"),
    cpu: bool | None = False,
    suffix: bool | None = True,
) -> Build:
    version = name.removesuffix("-all")
    return Build(words, version, cpu, suffix, parse_help(help_text(name)))
