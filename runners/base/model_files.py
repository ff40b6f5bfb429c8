"""What of a launch's model lies on disk as a runner reads it: a file, or a folder."""

from __future__ import annotations

from pathlib import Path

from runners.base.contract import LaunchSpec, UsageError
from runners.base.packaging import CONFIG


def refuse_folders(spec: LaunchSpec, runner: str) -> None:
    """For runners that read GGUF files.

    Raises:
        UsageError: the model or the draft model is a folder.
    """
    for flag, path in (("--model", spec.model), ("--draft-model", spec.speculation.draft_model)):
        if path is not None and path.is_dir():
            raise UsageError(f"{flag} {path}: {runner} reads GGUF files, and this is a folder")


def model_folder(path: Path | None, flag: str, runner: str, kinds: str) -> str:
    """The absolute path of a folder, for runners that read such; `kinds` says whose they are.

    Raises:
        UsageError: there is none, or it has no config.json.
    """
    if path is None:
        raise UsageError(f"{runner} needs a model folder: {flag} FOLDER")
    if not path.exists():
        raise UsageError(f"{flag} {path}: there is no such folder")
    if not (path / CONFIG).is_file():
        raise UsageError(
            f"{flag} {path}: {runner} reads folders with a config.json and safetensors files "
            f"({kinds}), not this"
        )
    # A relative path may begin with a dash, and would be read as an option.
    return str(path.absolute())
