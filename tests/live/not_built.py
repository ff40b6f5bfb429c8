"""Where runners are that `make runners` installs, or why not: `.ci` leaves notes of it."""

from __future__ import annotations

import sys
from pathlib import Path


def why_not(package: str) -> str:
    """The reason to skip the live tests of a package, in one line."""
    try:
        note = Path(sys.prefix, "runners-not-built", package).read_text(encoding="utf-8")
    except (OSError, ValueError):
        note = ""
    return " ".join(note.split()) or f"{package} is not installed: make runners"


def environment_of(runner: str) -> str | None:
    """The Python of the environment that `.ci/environment` made; None: there is none."""
    try:
        python = Path(sys.prefix, "environments", runner).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return python if Path(python).is_file() else None
