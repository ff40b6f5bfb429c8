"""How the text of a runner's option becomes a value; a `ValueError` says what was expected."""

from __future__ import annotations


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
