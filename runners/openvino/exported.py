"""Draft models in OpenVINO's own format, the only one that it takes a draft in.

Each GGUF file is exported once, into a folder of the cache; what a model weighs, it weighs there.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from runners.base.kept import cache_folder
from runners.openvino.package import command

FOLDER = "openvino-drafts"
MODEL = "openvino_model.xml"


def exported(draft: Path, version: str) -> Path:
    """The folder of a draft model in OpenVINO's format, made if need be.

    `version` is OpenVINO GenAI's.

    Raises:
        RuntimeError: the file cannot be read or exported, or the cache cannot be written.
    """
    try:
        about = draft.stat()
        folder = cache_folder() / FOLDER / _stamp(draft, version, about.st_size, about.st_mtime_ns)
        if not (folder / MODEL).is_file():
            _export(draft, folder)
    except OSError as error:
        raise RuntimeError(f"cannot export the draft model {draft}: {error}") from None
    return folder


def _stamp(*parts: object) -> str:
    text = "\n".join(map(str, parts))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:24]


def _export(draft: Path, folder: Path) -> None:
    """Written beside its place and then renamed: half an export is never found."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    try:
        # OpenVINO writes into the folder that the file lies in, which is the user's.
        model = unfinished / "model.gguf"
        model.symlink_to(draft)
        # A process of its own: its memory is no part of what the launch needs.
        argv = [*command(), "--export", str(model)]
        result = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode != 0 or not (unfinished / MODEL).is_file():
            lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
            raise RuntimeError(f"no draft model: {lines[-1].removeprefix('E ')}")
        model.unlink()
        with contextlib.suppress(FileExistsError):  # Another launch was quicker.
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
