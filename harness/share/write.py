"""Puts a share on disk: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from harness.run_folder import DiskError
from harness.share.share import Share, ShareError, to_json
from harness.share.verify import is_share


def write_share(share: Share, path: Path) -> None:
    """Write the file; an older share in its place is replaced.

    Raises:
        ShareError: something else stands there.
        DiskError: it cannot be written; what stood there is whole.
    """
    if path.exists() and not is_share(path):
        raise ShareError(f"{path} exists and is no share: choose another --out")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(to_json(share), encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DiskError(f"cannot write {path}: {error.strerror}") from None
