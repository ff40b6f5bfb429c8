"""The user's options as flags of a program, as its own help knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runners.base.contract import OptionValue, UsageError
from runners.base.help import Flag, Help
from runners.base.option_text import switch
from runners.base.spelling import nearest


def flag_words(name: str, value: OptionValue, flag: Flag, whose: str) -> list[str]:
    """'--name value', or what switches a switch; `name` is as the user wrote it, without dashes.

    Raises:
        UsageError: a value that is neither on nor off, of a switch.
    """
    if flag.value:
        return [f"--{flag.name}", option_text(value)]
    try:
        on = switch(str(value))
    except ValueError as error:
        text = str(value)[:100]
        raise UsageError(f"{whose}'s option {name} cannot be {text!r}: {error}") from None
    if flag.negative is not None and name == flag.negative.lstrip("-"):
        on = not on
    if on:
        return [f"--{flag.name}"]
    return [] if flag.negative is None else [flag.negative]


def known_flag(name: str, known: Help, ours: Mapping[str, str], whose: str) -> Flag | None:
    """The flag of an option, by any spelling, 'no-' in front of it too; None: there is none.

    Raises:
        UsageError: it is one of `ours`; they say what sets it instead.
    """
    flag = known.flag(name) or known.flag(name.removeprefix("no-"))
    if flag is not None and flag.name in ours:
        raise UsageError(f"{whose}'s option {name} is set by {ours[flag.name]}")
    return flag


def unknown_option(name: str, known: Iterable[str], whose: str) -> UsageError:
    """That there is no such option, and which are near; `whose` may tell the version."""
    hint = nearest(name, known)
    reason = f"{whose} has no option {name!r}"
    return UsageError(f"{reason}; {hint}" if hint else reason)


def option_text(value: OptionValue) -> str:
    """As command lines have it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)
