"""JSON that a runner sent: whatever is wrong with it is one error that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runners.base.contract import RequestError

SHOWN = 200
"""Characters of what cannot be read."""
LONGEST = 500
"""Characters of a runner's own words."""


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
        if "error" in body:
            error = body["error"]
            said = error["message"] if isinstance(error, dict) else error
            raise RequestError(f"the runner answered with an error: {str(said)[:LONGEST]}")
    return body
