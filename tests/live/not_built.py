"""Why a runner that comes as source is not there: `.ci/runner` leaves a note of what failed."""

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
