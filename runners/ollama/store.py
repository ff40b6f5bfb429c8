"""A model store of one launch: links to the model files, and what Ollama writes beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runners.base.contract import StartError


class Store:
    """A folder for OLLAMA_MODELS. It holds no copy of a model, so each launch has one."""

    def __init__(self, log: Path) -> None:
        self.folder = log.absolute().with_name(f"{log.name}.models")

    def place(self, path: Path, digest: str) -> None:
        """Put a file where Ollama looks for the blob of its hash.

        A hard link, or where the file lies on another disk or is somebody else's, a symbolic one:
        Ollama opens blobs by their names.

        Raises:
            StartError: the folder cannot be written.
        """
        blob = self.folder / "blobs" / digest.replace(":", "-")
        try:
            blob.parent.mkdir(parents=True, exist_ok=True)
            if blob.exists():
                return
            real = path.resolve()
            try:
                os.link(real, blob)
            except OSError:
                blob.symlink_to(real)
        except OSError as error:
            raise StartError(f"{blob} cannot be written: {error.strerror}") from None

    def clear(self) -> None:
        """Remove the folder, and no model: also what a launch that was killed has left."""
        shutil.rmtree(self.folder, ignore_errors=True)
