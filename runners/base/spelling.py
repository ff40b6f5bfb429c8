"""What a mistyped name of a runner or a method may have meant."""

from __future__ import annotations

from collections.abc import Iterable

from runners.base.option_text import nearest


def known_names(given: str, known: Iterable[str]) -> str:
    """'did you mean vllm? known: llama.cpp, vllm', or the names alone where none is near."""
    names = list(known)
    hint = nearest(given.lower(), names, most=1)
    return f"{hint} known: {', '.join(names)}".lstrip()
