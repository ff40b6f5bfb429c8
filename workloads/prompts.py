"""Loads a workload: one of the packaged ones by name, or a user's file by path."""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from workloads.formats import OWN_FORM, read_prompts
from workloads.workload import Message, Prompt, Workload, WorkloadError

__all__ = ["Message", "Prompt", "Workload", "WorkloadError", "load", "names"]

_PACKAGED: Mapping[str, str] = {
    "coding": "complete, write, edit and test code",
    "structured": "JSON, tables and other text in a fixed shape",
    "prose": "stories, essays and dialogues",
    "summary": "answers that quote a given text",
}

# A file of prompts has kilobytes; this stops a wrong path or a gzip bomb from filling the memory.
_MOST_BYTES = 256 * 1024 * 1024


def names() -> tuple[str, ...]:
    """Names of the packaged workloads, in the order to list and to run them."""
    return tuple(_PACKAGED)


def load(name_or_path: str) -> Workload:
    """Load a packaged workload by its name, or else the file at this path.

    A packaged name wins over a file of the same name; ``./coding`` means the file. A file's
    workload is named after the file, extension included. The prompts keep the file's order.
    Raises WorkloadError for everything that can be wrong with the name or the file.
    """
    if name_or_path in _PACKAGED:
        text = (resources.files("workloads") / f"{name_or_path}.jsonl").read_text("utf-8")
        _, prompts = read_prompts(text, file=f"{name_or_path}.jsonl", workload=name_or_path)
        return Workload(name_or_path, _PACKAGED[name_or_path], prompts)
    return _load_file(name_or_path)


def _load_file(given: str) -> Workload:
    shown = given if given.isprintable() else ascii(given)
    text = _decode(_read(given, shown), shown)
    file_name = Path(given).name
    # A file called just 'coding' must not pass for the packaged workload.
    name = given if file_name in _PACKAGED else file_name
    found, prompts = read_prompts(text, file=shown, workload=name)
    return Workload(name, f"{found.name} from {shown}", prompts)


def _read(given: str, shown: str) -> bytes:
    """The file's bytes, unzipped if they are gzip."""
    if not given:
        raise WorkloadError(_not_found(given, shown))  # Path("") would be the current folder.
    try:
        with Path(given).expanduser().open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as unzipped:
                data = unzipped.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise WorkloadError(_not_found(given, shown)) from None
    except IsADirectoryError:
        raise WorkloadError(f"{shown} is a folder. Give one file: {OWN_FORM} a line.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise WorkloadError(f"{shown} is damaged gzip. Unzip it, or fetch it again.") from None
    except (OSError, ValueError, RuntimeError) as error:
        # ValueError: a NUL in the path. RuntimeError: '~name' of a user who does not exist.
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
        raise WorkloadError(
            f"Cannot read {shown}: {reason}. Check the path and its permissions."
        ) from None
    if len(data) > _MOST_BYTES:
        raise WorkloadError(f"{shown} is larger than 256 MiB: is this really a file of prompts?")
    return data


def _not_found(given: str, shown: str) -> str:
    packaged = ", ".join(_PACKAGED)
    if "/" in given or "\\" in given or "." in given:
        return f"There is no file {shown}. Check the path, or use a packaged workload: {packaged}."
    near = difflib.get_close_matches(given.lower(), _PACKAGED, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"There is no workload {shown!r}.{hint}\n"
        f"Packaged are {packaged}; for prompts of your own, give the path of a JSONL file."
    )


def _decode(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")  # -sig: editors on Windows begin files with a mark.
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkloadError(
            f"{shown}, line {line} is not UTF-8 text. Save the file as UTF-8 and try again."
        ) from None
