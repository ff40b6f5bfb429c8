"""What a mistyped name may have meant: of an option, a runner, a method."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], most: int = 3) -> str:
    """'did you mean threads or threads-batch?'; '' where none is like it."""
    near = difflib.get_close_matches(name, list(known), n=most)
    return f"did you mean {' or '.join(near)}?" if near else ""


def known_names(given: str, known: Iterable[str]) -> str:
    """'did you mean vllm? known: llama.cpp, vllm', or the names alone where none is near."""
    names = list(known)
    hint = nearest(given.lower(), names, most=1)
    return f"{hint} known: {', '.join(names)}".lstrip()
