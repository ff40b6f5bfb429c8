"""What a program said of itself, kept on disk: asking it again costs seconds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/decodebench`; under ~/.cache where the variable is not set.

    Raises:
        RuntimeError: this user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "decodebench"


def read_kept(runner: str, stamp: str) -> str | None:
    """What was kept under a stamp; None where there is nothing, or it is damaged."""
    try:
        kept = json.loads(_entry(runner, stamp).read_text(encoding="utf-8"))
        said = kept["said"] if kept["stamp"] == stamp else None
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None
    return said if isinstance(said, str) else None


def keep(runner: str, stamp: str, said: str) -> None:
    """Keep what was said; a cache that cannot be written is no reason to fail."""
    with contextlib.suppress(OSError, RuntimeError):
        entry = _entry(runner, stamp)
        entry.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=entry.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump({"stamp": stamp, "said": said}, file)
            Path(name).replace(entry)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _entry(runner: str, stamp: str) -> Path:
    digest = hashlib.sha256(stamp.encode(errors="surrogatepass")).hexdigest()[:24]
    return cache_folder() / runner / f"{digest}.json"
