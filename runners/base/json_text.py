"""JSON that a runner sent: whatever is wrong with it is one error that shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runners.base.contract import RequestError

SHOWN = 200
"""Characters of what cannot be read."""
LONGEST = 500
"""Characters of a runner's own words."""
LARGEST_COUNT = 100_000_000
"""Tokens; no context is longer."""


@contextmanager
def readable(data: object) -> Iterator[None]:
    """Turn what can go wrong with `data` into a `RequestError` that shows it."""
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise RequestError(
            f"the runner's answer cannot be read ({error!r:.{SHOWN}}): {str(data)[:SHOWN]!r}"
        ) from None


def read_object(data: str) -> dict[str, Any]:
    """The JSON object of an answer or an event.

    Raises:
        RequestError: it is none, or one that tells an error.
    """
    with readable(data):
        body = json.loads(data)
        if not isinstance(body, dict):
            raise TypeError("no JSON object")
        # Some send the field along with every part, empty.
        if error := body.get("error"):
            said = error["message"] if isinstance(error, dict) else error
            raise RequestError(f"the runner answered with an error: {str(said)[:LONGEST]}")
    return body


def count(value: object) -> int:
    """A number of tokens.

    Raises:
        TypeError: no number.
        ValueError: not a whole one from 0 on, or more than any context holds.
        OverflowError: infinity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.{SHOWN}} is no number of tokens")
    number = int(value)
    if number != value or not 0 <= number <= LARGEST_COUNT:
        raise ValueError(f"{value!r:.{SHOWN}} is no number of tokens")
    return number


def count_or_none(value: object) -> int | None:
    """As `count`; None where it is not told."""
    return None if value is None else count(value)


def positive(value: object) -> float | None:
    """A duration or a rate; None where it is not told, or is none: 0, negative or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
