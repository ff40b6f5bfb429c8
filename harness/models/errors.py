"""What can be wrong with a model file, in words for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ModelFileError(Exception):
    """The file is missing, is no model file, or is cut off; the text says which."""


def printable(text: str) -> str:
    """A text for a message of one line: characters that a terminal acts on are written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(path: Path) -> str:
    """A path for a message of one line."""
    return printable(str(path))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system has against `path` into a `ModelFileError`."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelFileError(f"{shown(path)} cannot be read: {reason or error}") from error
