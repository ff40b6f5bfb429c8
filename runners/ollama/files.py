"""Model files as Ollama takes them: by the hash of what they hold."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path
from typing import BinaryIO

from runners.base.contract import StartError
from runners.base.kept import keep, read_kept

CACHE = "ollama"
"""Where hashes are kept: reading tens of gigabytes takes a minute."""
_SHARD = re.compile(r"(.+-)\d{5}-of-(\d{5})(\.gguf)")
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Types of a GGUF's values -> their bytes."""
_STRING = 8
_MOST_KEYS = 64
_LONGEST_STRING = 1 << 16


def files_of(model: Path) -> tuple[Path, ...]:
    """The file; of a split model, all of its files in order."""
    path = model.absolute()
    found = _SHARD.fullmatch(path.name)
    if found is None:
        return (path,)
    head, count, tail = found.groups()
    return tuple(path.with_name(f"{head}{n:05}-of-{count}{tail}") for n in range(1, int(count) + 1))


def digest_of(path: Path) -> str:
    """'sha256:…' of what a file holds, from the cache while the file does not change.

    Raises:
        StartError: it cannot be read.
    """
    try:
        state = path.stat()
        stamp = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        if (kept := read_kept(CACHE, stamp)) is not None:
            return kept
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from None
    keep(CACHE, stamp, digest)
    return digest


def architecture_of(path: Path) -> str | None:
    """`general.architecture` of a GGUF; None where it stands behind what is no plain value, or the
    file is no GGUF."""
    try:
        with path.open("rb") as file:
            magic, version, _, keys = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version < 2:
                return None
            for _ in range(min(keys, _MOST_KEYS)):
                key = _string(file)
                (kind,) = struct.unpack("<I", file.read(4))
                if key == "general.architecture" and kind == _STRING:
                    return _string(file)
                if kind == _STRING:
                    _string(file)
                elif kind in _SCALARS:
                    file.seek(_SCALARS[kind], 1)
                else:
                    return None
    except (OSError, struct.error, ValueError):
        return None
    return None


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST_STRING:
        raise ValueError("no such string begins a GGUF")
    return file.read(length).decode()
