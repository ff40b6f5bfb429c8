"""Where the outcome goes beside the terminal: files, and the summary of a GitHub job."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from harness.run_folder import DiskError


def write_whole(path: Path, text: str) -> None:
    """Replace a file, so that nobody ever reads a half of it; a pipe or device is written to.

    Raises:
        DiskError: it cannot be written; what was there before still is.
    """
    data = text.encode("utf-8", "replace")
    # Through a link to what it stands for.
    target = path.resolve()
    partial = target.with_name(f".{os.getpid()}.bench-part")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        partial.write_bytes(data)
        partial.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DiskError(f"cannot write {path}: {error.strerror}") from None


def append_summary(path: Path, text: str) -> None:
    """Add to the summary of a job's step, which other commands of the step may have begun.

    Raises:
        DiskError: it cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise DiskError(f"cannot write the summary {path}: {error.strerror}") from None
