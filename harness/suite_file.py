"""Reads a suite file, and makes the paths of files and flags absolute."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.suite import SuiteError, place_of
from harness.suite_values import is_url, listed, shown
from runners.base.packaging import packaging_of
from workloads.prompts import names as packaged


def read_suite(path: Path) -> dict[str, Any]:
    """The settings of a suite file, not yet validated; `make_suite` does that.

    Raises:
        SuiteError: missing, unreadable, or no TOML; names the line.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        raise SuiteError(f"there is no suite file {path}") from None
    except OSError as error:
        raise SuiteError(f"cannot read the suite file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SuiteError(f"{path} is no TOML file: it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise SuiteError(f"{path} is no valid TOML: {error}") from None
    return _anchored(path.parent.absolute(), data, str(path))


def _anchored(folder: Path, data: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The file's tables with its paths made absolute: they are relative to the file."""
    moved = dict(data)
    for key in ("model", "draft_model"):
        if key in moved:
            moved[key] = _anchored_model(folder, moved[key], f"{place}: {key}")
    if isinstance(moved.get("runners"), dict):
        moved["runners"] = {
            name: _with_anchored_program(folder, build, f"{place}: {place_of(('runners', name))}")
            for name, build in moved["runners"].items()
        }
    if isinstance(moved.get("arm"), list):
        moved["arm"] = [
            _anchored(folder, arm, f"{place}: {place_of(('arm', number))}")
            if isinstance(arm, dict)
            else arm
            for number, arm in enumerate(moved["arm"])
        ]
    if isinstance(moved.get("workloads"), list | str):
        moved["workloads"] = anchored_workloads(folder, listed(moved["workloads"]))
    return moved


def anchored_path(folder: Path, path: str, place: str) -> str:
    """`path` as an absolute one; `place` says where it stands, for the message.

    Raises:
        SuiteError: it begins with '~name' and there is no user of that name.
    """
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError as error:
        raise SuiteError(f"{place}: {shown(path)}: {str(error).rstrip('.')}") from None


def _anchored_model(folder: Path, model: object, place: str) -> object:
    if isinstance(model, str):
        return anchored_path(folder, model, place)
    if not isinstance(model, dict):
        return model
    return {
        packaging: anchored_path(folder, path, f"{place}, {packaging}")
        if isinstance(path, str)
        else path
        for packaging, path in model.items()
    }


def model_of_flags(folder: Path, paths: Sequence[str], flag: str) -> str | dict[str, str]:
    """One path as it is, made absolute; several by the packaging of what lies there.

    Raises:
        SuiteError: nothing lies there, two of one packaging, or as `anchored_path`.
    """
    if len(paths) == 1:
        return anchored_path(folder, paths[0], flag)
    found: dict[str, str] = {}
    for path in paths:
        whole = anchored_path(folder, path, flag)
        packaging = packaging_of(Path(whole))
        if packaging is None:
            what = "neither a file nor a folder with a config.json"
            raise SuiteError(f"{flag} {path}: {what if _exists(whole) else 'does not exist'}")
        if (other := found.get(packaging.value)) is not None:
            raise SuiteError(
                f"{flag} {other} and {flag} {path} are both {packaging.words}: give a model once "
                "in each packaging; a suite file can say which is which, as in "
                'model = { hf = "…", mlx = "…" }'
            )
        found[packaging.value] = path
    return {packaging: anchored_path(folder, path, flag) for packaging, path in found.items()}


def _with_anchored_program(folder: Path, build: object, place: str) -> object:
    # A `url` is no path.
    if not (isinstance(build, dict) and isinstance(build.get("program"), str)):
        return build
    return {**build, "program": anchored_program(folder, build["program"], f"{place}, program")}


def anchored_program(folder: Path, program: str, place: str) -> str:
    """A path as an absolute one; a bare name as it is, to be looked up on PATH, and so a URL.

    Of a command of several words, those that are paths to something become absolute.

    Raises:
        SuiteError: as `anchored_path`.
    """
    if not _is_path(program) or is_url(program):
        return program
    whole = anchored_path(folder, program, place)
    if len(program.split()) == 1 or _exists(whole):
        return whole
    try:
        words = shlex.split(program)
    except ValueError:  # an apostrophe
        return program
    moved = [anchored_path(folder, word, place) if _is_path(word) else word for word in words]
    kept = [new if _exists(new) else word for word, new in zip(words, moved, strict=True)]
    return program if kept == words else shlex.join(kept)


def _is_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.startswith("~")


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long a name, a null character
        return False


def anchored_workloads(folder: Path, names: object) -> object:
    """Names of packaged workloads as they are, names of files in `folder` as absolute paths."""
    if not isinstance(names, tuple):
        return names
    return tuple(
        str((folder / name).absolute())
        if isinstance(name, str) and name not in packaged() and _may_be_file(folder / name)
        else name
        for name in names
    )


def _may_be_file(path: Path) -> bool:
    """Also where the system does not tell: whoever opens it then says why."""
    try:
        return path.is_file()
    except OSError:  # too long a name, a folder that may not be searched
        return True
