"""Models in OpenVINO's own format, in which it takes drafts and shows what a model computes.

A draft model is exported once, into a folder of the cache; what it weighs, it weighs there. Any
other export is gone after its use.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runners.base.kept import cache_folder
from runners.openvino.package import command

FOLDER = "openvino-models"
MODEL = "openvino_model.xml"
UNFINISHED = "unfinished-"
YOUNG_S = 60.0
"""A folder may be made and not yet held."""


def exported(model: Path, version: str) -> Path:
    """The folder of a GGUF file's model in OpenVINO's format, made if need be.

    `version` is OpenVINO GenAI's.

    Raises:
        RuntimeError: the file cannot be read or exported, or the cache cannot be written.
    """
    try:
        about = model.stat()
        folder = _place() / _stamp(model, version, about.st_size, about.st_mtime_ns)
        if not (folder / MODEL).is_file():
            with exported_for_now(model) as unfinished, contextlib.suppress(FileExistsError):
                # In one move, so that half an export is never found; another launch may have
                # been quicker.
                unfinished.rename(folder)
    except OSError as error:
        raise RuntimeError(f"cannot export {model}: {error}") from None
    return folder


@contextmanager
def exported_for_now(model: Path) -> Iterator[Path]:
    """The same in a folder that goes with the context, unless it was moved away.

    Raises:
        RuntimeError: the file cannot be exported.
        OSError: the cache cannot be written.
    """
    _place().mkdir(parents=True, exist_ok=True)
    _clear_left()
    folder = Path(tempfile.mkdtemp(dir=_place(), prefix=UNFINISHED))
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Held while this process lives: what nobody holds, a killed one has left.
        fcntl.flock(handle, fcntl.LOCK_EX)
        # OpenVINO writes into the folder that the file lies in, which is the user's.
        link = folder / "model.gguf"
        link.symlink_to(model)
        # A process of its own: its memory is no part of what a launch needs.
        argv = [*command(), "--export", str(link)]
        result = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode != 0 or not (folder / MODEL).is_file():
            lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
            raise RuntimeError(f"cannot export {model}: {lines[-1].removeprefix('E ')}")
        link.unlink()
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _clear_left() -> None:
    """Remove what launches that were killed have left: it may be as large as a model."""
    for folder in _place().glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < YOUNG_S:
                continue
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _place() -> Path:
    return cache_folder() / FOLDER


def _stamp(*parts: object) -> str:
    text = "\n".join(map(str, parts))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:24]
