"""Leaves out of a text what says who measured, on whose machine, and where the files lie."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from harness.report import escape

HIDDEN = "…"
IMPERSONAL = frozenset(
    {
        *("root", "user", "users", "home", "admin", "runner", "ubuntu", "debian", "ec2-user"),
        *("localhost", "you", "apple", "nvidia", "amd", "intel", "llama", "cpu", "gpu", "linux"),
        *("x86_64", "arm64", "docker", "build", "public", "shared", "none", "plain", "model"),
    }
)
"""Names of accounts and machines that tell nothing of a person; as words they mean other things."""

LONG = 5
"""Letters of a name that other words hardly hold by chance."""

ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>|]+", re.IGNORECASE)
FOLDERS = re.compile(r"(?<![\w.])(?:~[\w.-]*)?(?:/+[^/\s\"'<>|,;=]+)*/+(?=\S)")
WINDOWS = re.compile(r"(?:\b[A-Za-z]:|\\)\\+(?:[^\\/\s\"'<>|,;=]+\\+)*")
HOME = re.compile(r"(?:/home/|/Users/|/root/|[A-Za-z]:[/\\]+Users[/\\]+)([^/\\\"'\n:]+)")
HOST = re.compile(r"://(?:[^/@\s\"']*@)?(\[[^\]]+\]|[^/:\s\"'<>|]+)")

SNAPSHOTS = "snapshots"
"""Hugging Face's cache keeps a model as models--ORG--NAME/snapshots/HASH."""

M = TypeVar("M", bound=BaseModel)


class Private:
    """What is to be left out: the account and the machine of this process, and those of a run."""

    def __init__(self, names: Iterable[str], texts: Iterable[str] = ()) -> None:
        """`names`: of accounts and machines; `texts`: where home folders and addresses may name
        more of them."""
        found = {*names}
        for text in texts:
            found |= {*HOME.findall(text), *HOST.findall(text)}
        # A machine goes by its whole name and by the first part of it; numbers are no names.
        words = {word.strip() for name in found if name for word in (name, name.split(".")[0])}
        hidden = sorted(
            (w for w in words if w and w.lower() not in IMPERSONAL and not _is_number(w)),
            key=len,
            reverse=True,
        )
        self._names = re.compile("|".join(map(_pattern, hidden)), re.IGNORECASE) if hidden else None

    def text(self, text: str) -> str:
        """One line of it, without names, addresses, and the folders of paths."""
        text = ADDRESS.sub(HIDDEN, escape.clean(text))
        text = WINDOWS.sub("", FOLDERS.sub("", text))
        return text if self._names is None else self._names.sub(HIDDEN, text)

    def file(self, path: str) -> str:
        """The name of a file or a folder, without the folders that it lies in."""
        parts = [part for part in re.split(r"[/\\]", path) if part] or [HIDDEN]
        name = parts[-1]
        if len(parts) > 2 and parts[-2] == SNAPSHOTS and parts[-3].startswith("models--"):
            name = parts[-3].removeprefix("models--").replace("--", "-", 1)
        return self.text(name)

    def value(self, value: str) -> str:
        """An option's value: a path becomes its last part, an address is left out."""
        if "://" in value:
            return HIDDEN
        windows = re.match(r"^[A-Za-z]:\\|^\\\\", value)
        if windows or "/" in value:
            return self.file(value)
        return self.text(value)

    def model(self, model: M) -> M:
        """A model of pydantic's with every text in it so treated."""
        return type(model).model_validate(self._inside(model.model_dump()))

    def _inside(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._inside(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return tuple(map(self._inside, value))
        return value


def here() -> list[str]:
    """The names of this account and of this machine."""
    import getpass  # noqa: PLC0415
    import platform  # noqa: PLC0415
    import socket  # noqa: PLC0415

    names = [platform.node(), socket.gethostname()]
    # An account may have no name, as in a container.
    with contextlib.suppress(KeyError, OSError, RuntimeError):
        names += [getpass.getuser(), Path.home().name]
    return names


def _pattern(name: str) -> str:
    """A short name is hidden as a word of its own, a long one inside of words too."""
    escaped = re.escape(name)
    return escaped if len(name) >= LONG else rf"(?<![^\W_]){escaped}(?![^\W_])"


def _is_number(name: str) -> bool:
    return not re.search(r"[^\W\d_]", name) and "." not in name
