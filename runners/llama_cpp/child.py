"""The process that holds llama.cpp's server from the xllamacpp wheel; the harness is its parent.

`python -m runners.llama_cpp.child FIELDS_JSON` serves until it is ended; its first line of
standard output is {"listening": "http://127.0.0.1:PORT"}. With `--describe` it prints what the
build says of itself and ends. A process of its own, because the server says why it could not
start on file descriptor 2 alone, and because a crash in it must not take the harness along.
"""

from __future__ import annotations

import enum
import json
import os
import signal
import sys
from typing import Any

import xllamacpp


def decode(value: Any) -> Any:
    """JSON to a field's value: {"enum": …, "member": …} is a member of an enum."""
    if isinstance(value, dict):
        return getattr(getattr(xllamacpp, value["enum"]), value["member"])
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def serve(fields: list[tuple[str, Any]]) -> None:
    params = xllamacpp.CommonParams()
    for path, value in fields:
        *parents, name = path.split(".")
        owner = params
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, decode(value))
    server = xllamacpp.Server(params)
    print(json.dumps({"listening": server.listening_address}), flush=True)
    # Whatever the library prints from here on belongs to the log.
    os.dup2(2, 1)
    signal.pause()


PLAIN_KINDS = (bool, int, float, str)


def plain_fields(owner: Any, prefix: str = "") -> dict[str, str]:
    """Dotted path -> type of every field that takes a plain value or a member of an enum."""
    found: dict[str, str] = {}
    for name in dir(owner):
        try:
            value = getattr(owner, name)
        except (AttributeError, TypeError, ValueError):
            continue
        kind = type(value).__name__
        if name.startswith("_") or callable(value):
            continue
        if type(value) in PLAIN_KINDS or isinstance(value, enum.Enum):
            found[prefix + name] = kind
        elif type(value).__module__.startswith("xllamacpp"):
            found |= plain_fields(value, f"{prefix}{name}.")
    return found


def describe() -> None:
    devices = [
        f"{device['name']}: {device['description']}" for device in xllamacpp.get_device_info()
    ]
    fields = plain_fields(xllamacpp.CommonParams())
    print(json.dumps({"devices": devices, "fields": fields}))


if __name__ == "__main__":
    if sys.argv[1] == "--describe":
        describe()
    else:
        serve(json.loads(sys.argv[1]))
