"""The flags that a vLLM's `--help` lists."""

from __future__ import annotations

from runners.base.help import Help, parse_flags

CORE = frozenset({"max-model-len", "served-model-name", "host", "port"})
"""Flags that every vLLM server has."""


def parse_help(text: str) -> Help:
    """The flags of `vllm serve --help=all`.

    Raises:
        UsageError: this is not the help of a vLLM server.
    """
    return parse_flags(text, core=CORE, whose="vLLM")
