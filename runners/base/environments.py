"""Python environments that `make runners` made for runners of their own."""

from __future__ import annotations

from pathlib import Path

from runners.base.kept import cache_folder


def environment_python(name: str) -> Path | None:
    """The Python of the newest environment of this name that is whole; None: there is none."""
    try:
        folder = cache_folder() / "environments"
    except RuntimeError:
        return None
    made = [
        marker
        for marker in folder.glob(f"{name}-*/.ready")
        if (marker.parent / "bin" / "python").exists()
    ]
    newest = max(made, key=lambda marker: marker.stat().st_mtime, default=None)
    return None if newest is None else newest.parent / "bin" / "python"
