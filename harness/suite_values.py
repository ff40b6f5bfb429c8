"""How the values of a suite may be written: as TOML has them, or as the text of a flag."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Mapping
from typing import TypeVar

from harness.quantities import parse_bandwidth, parse_duration, parse_share
from runners.base.speculation import AS_SERVED, METHODS, SyntheticAcceptance, parts_of
from runners.base.spelling import known_names

Options = TypeVar("Options", bound=Mapping[str, object])


def parse_numbers(text: str) -> tuple[int, ...]:
    """'1-4,6,8' -> (1, 2, 3, 4, 6, 8), in order and each once.

    Raises:
        ValueError: not such a list, or a range that runs backwards or is absurdly long.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise ValueError(f"{text!r} is no list of numbers such as 4 or 1-4,6,8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {part.strip()!r} runs backwards")
        if last - first > 10_000:
            raise ValueError(f"the range {part.strip()!r} is too long")
        found.extend(range(first, last + 1))
    return tuple(dict.fromkeys(found))


def numbers(value: object) -> object:
    """A number, a list of numbers or a text like '1-4,6' as a tuple; pydantic judges the rest."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (value,)
    if isinstance(value, str):
        return parse_numbers(value)
    return _once(value)


def _once(value: object) -> object:
    """A list as a tuple, each item once; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(dict.fromkeys(value))
    except TypeError:  # a list in the list, which pydantic then refuses
        return tuple(value)


def bandwidth(value: object) -> object:
    """A text such as '1008GB/s' as bytes per second; anything else as it is.

    Raises:
        ValueError: a text that is no bandwidth, or a switch.
    """
    if isinstance(value, bool):
        raise ValueError(f"{shown(value)} is no bandwidth such as 960GB/s")
    return parse_bandwidth(value) if isinstance(value, str) else value


def share(value: object) -> object:
    """A text such as '2%' or '0.02' as a share; anything else as it is.

    Raises:
        ValueError: a text that is no share above 0 and below 100%, or a switch.
    """
    if isinstance(value, bool):
        raise ValueError(f"{shown(value)} is no share such as 2%")
    return parse_share(value) if isinstance(value, str) else value


def duration(value: object) -> object:
    """A text such as '10m' as seconds; anything else as it is.

    Raises:
        ValueError: a text that is no time, or a switch.
    """
    if isinstance(value, bool):
        raise ValueError(f"{shown(value)} is no time such as 10m")
    return parse_duration(value) if isinstance(value, str) else value


def listed(value: object) -> object:
    """One word, or words with commas between, as a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return _once(value)


def named_once(value: object) -> object:
    """Names of runners: as `listed`, each once; nothing is none."""
    return () if value is None else _once(listed(value))


def prompt_count(value: object) -> object:
    number = value
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        number = int(value)
    if number == "all" or (isinstance(number, int) and not isinstance(number, bool) and number > 0):
        return number
    raise ValueError(f"expected a number from 1 on, or 'all', not {shown(value)}")


def argument(value: object) -> object:
    """One value of a runner's option, or several; a manifest could not hold inf or nan."""
    values = value if isinstance(value, list | tuple) else (value,)
    if not values:
        raise ValueError("needs at least one value")
    for one in values:
        if not isinstance(one, bool | int | float | str):
            raise ValueError(
                f"expected a number, a text, true, false or a list of these, not {shown(one)}"
            )
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError(f"expected a finite number, not {one}")
    return value


def shown(value: object) -> str:
    """A value for a message of one line."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "that number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def variable_name(value: object) -> str:
    """The name of an environment variable; what is none may be a key, and is not repeated.

    Raises:
        ValueError: it cannot be such a name.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError(
            "expected the name of the environment variable that holds the key, as in "
            "OPENAI_API_KEY, and not the key itself"
        )
    return value


def is_url(text: str) -> bool:
    """Whether it begins as a URL does."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


SECRET = re.compile(
    r"(?i)(^|[^a-z])(api[^a-z]?key|authorization|password|(hf|auth|access).?token)$"
)
"""Names of options whose value is a secret."""


def without_keys(options: Options) -> Options:
    """Options as they are: they are written into the files of a run.

    Raises:
        ValueError: one by its name is a secret; its value is not repeated.
    """
    for name in options:
        if SECRET.search(name.strip()):
            raise ValueError(
                f"the value of {shown(name)} would stand in the files of the run: give a key by an "
                "environment variable (of an endpoint, --api-key-env; in a file, api_key_env)"
            )
    return options


def check_url(text: str) -> None:
    """See that a URL holds no secret: it is written into the files of a run.

    Raises:
        ValueError: it has a user, a password, or anything behind its path.
    """
    try:
        parts = urllib.parse.urlsplit(text if is_url(text) else f"//{text}")
    except ValueError:
        raise ValueError("this is no valid URL") from None
    if "@" in parts.netloc:
        raise ValueError(
            "a URL with a user or a password in it would stand in the files of the run: put the "
            "key into an environment variable, and name that with --api-key-env (in a file, "
            "api_key_env)"
        )
    if parts.query or parts.fragment:
        raise ValueError(
            "a URL ends with its path here, as in http://localhost:8080/v1: what follows a ? or # "
            "may be a key, and would stand in the files of the run; put a key into an environment "
            "variable, and name that with --api-key-env (in a file, api_key_env)"
        )


def known_method(value: str) -> str:
    """A method or a chain of two, in the one order in which its parts are asked."""
    for part in value.split("+"):
        if part == AS_SERVED:
            raise ValueError(
                f"{AS_SERVED!r} is no method to choose: a server that already runs (--url) has it "
                "by itself, and nothing else"
            )
        if part not in METHODS:
            raise ValueError(f"unknown method {shown(part)}; {known_names(part, METHODS)}")
    return "+".join(parts_of(value))


def parse_synthetic(value: object) -> object:
    """2.5 or '2,3' are mean lengths; '0.9,0.6,0.3' are the rates of one drafter, by position.

    Raises:
        ValueError: neither, or numbers that no drafter can have.
    """
    if isinstance(value, tuple) and all(isinstance(one, SyntheticAcceptance) for one in value):
        return value
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, int | float):
        parts = [parts]
    if not isinstance(parts, list | tuple) or any(isinstance(part, bool) for part in parts):
        raise ValueError(
            f"expected mean lengths such as 2.5 or rates such as 0.9,0.6, not {shown(value)}"
        )
    if parts and all(isinstance(part, dict) for part in parts):
        return parts
    try:
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError(
            f"expected mean lengths such as 2.5 or rates such as 0.9,0.6, not {shown(value)}"
        ) from None
    if found != (1.0,) and all(number <= 1 for number in found):
        return (SyntheticAcceptance(rates=found),) if found else ()
    return tuple(SyntheticAcceptance(length=number) for number in dict.fromkeys(found))
