"""Options of a runner as text: what they are taken for, and which one may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def switch(text: str) -> bool:
    """'on' or 'off', in the words of command lines and of suite files.

    Raises:
        ValueError: neither.
    """
    words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError("expected on or off")
    return words[text.lower()]


def numbers(text: str) -> tuple[float, ...]:
    """'0.9,0.6' or, where a comma parts the values of a sweep, '0.9/0.6'.

    Raises:
        ValueError: one of them is no number.
    """
    return tuple(float(part) for part in text.replace("/", ",").split(","))


def nearest(name: str, known: Iterable[str], most: int = 3) -> str:
    """'did you mean threads or threads-batch?'; '' where none is like it."""
    near = difflib.get_close_matches(name, list(known), n=most)
    return f"did you mean {' or '.join(near)}?" if near else ""
