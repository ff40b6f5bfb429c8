"""What kind of file a runner reads."""

from __future__ import annotations

from runners.base.contract import LaunchSpec, UsageError


def refuse_folders(spec: LaunchSpec, runner: str) -> None:
    """For runners that read GGUF files.

    Raises:
        UsageError: the model or the draft model is a folder.
    """
    for flag, path in (("--model", spec.model), ("--draft-model", spec.speculation.draft_model)):
        if path is not None and path.is_dir():
            raise UsageError(f"{flag} {path}: {runner} reads GGUF files, and this is a folder")
