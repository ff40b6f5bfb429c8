"""The process that holds llama-cpp-python; the harness is its parent.

`python -m runners.llama_cpp_python.child LAUNCH_JSON` loads the model and serves until it is
ended; `--describe` prints what the package takes and ends. The package is imported in here alone:
a crash in it must not take the harness along.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import re
import sys
from typing import Any

import llama_cpp

from runners.base.generator_server import serve

LEVELS = {2: "I", 3: "W", 4: "E"}
CONTINUED = 5
CONSTANTS = {
    "type_k": "GGML_TYPE_",
    "type_v": "GGML_TYPE_",
    "split_mode": "LLAMA_SPLIT_MODE_",
    "rope_scaling_type": "LLAMA_ROPE_SCALING_TYPE_",
}
"""Numbers that the package has names for."""


def log_to_stderr() -> None:
    """llama.cpp's log with the level before each line, for the reason of a failure to be found.

    The package's own filter takes the levels for other ones, and drops errors.
    """
    shown = False

    def write(level: int, text: bytes, _data: object) -> None:
        nonlocal shown
        start = ""
        if level != CONTINUED:
            shown = level in LEVELS
            start = f"{LEVELS.get(level)} "
        if shown:
            sys.stderr.write(start + text.decode(errors="replace"))
            sys.stderr.flush()

    callback = llama_cpp.llama_log_callback(write)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    _kept.append(callback)


_kept: list[object] = []
"""What llama.cpp calls as long as it lives."""


def load_and_serve(launch: dict[str, Any]) -> None:
    from runners.llama_cpp_python.model import Model  # noqa: PLC0415 - not to describe the package

    log_to_stderr()
    try:
        model = Model(launch["arguments"], launch["lookup"])
    except Exception as error:
        sys.stderr.write(f"E {error}\n")
        sys.stderr.flush()
        # Taking down what is half there would log through a callback that is gone.
        os._exit(1)
    serve(model)


def kind_of(annotation: str) -> str | None:
    """'bool', 'int', 'float', 'str' or 'floats'; None for what no text can express."""
    words = set(re.findall(r"\w+", annotation)) - {"Optional", "Union", "None", "typing"}
    if words == {"List", "float"}:
        return "floats"
    if words == {"bool", "int"}:
        return "int"
    return words.pop() if len(words) == 1 and words <= {"bool", "int", "float", "str"} else None


def describe() -> None:
    signature = inspect.signature(llama_cpp.Llama.__init__)
    kinds = {
        name: kind_of(inspect.formatannotation(parameter.annotation))
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    constants = {
        name: {
            other.removeprefix(prefix).lower(): value
            for other, value in vars(llama_cpp).items()
            if other.startswith(prefix) and isinstance(value, int)
        }
        for name, prefix in CONSTANTS.items()
    }
    print(json.dumps({"kinds": kinds, "constants": constants, "devices": devices()}))


def devices() -> list[str]:
    """'CPU: AMD EPYC …', from ggml, which the package binds no functions of."""
    try:
        from llama_cpp._ggml import libggml as ggml  # noqa: PLC0415 - not public

        for name in ("ggml_backend_dev_name", "ggml_backend_dev_description"):
            getattr(ggml, name).restype = ctypes.c_char_p
            getattr(ggml, name).argtypes = [ctypes.c_void_p]
        ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
        ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
        ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        found = [ggml.ggml_backend_dev_get(i) for i in range(ggml.ggml_backend_dev_count())]
        return [
            f"{ggml.ggml_backend_dev_name(device).decode(errors='replace')}: "
            f"{ggml.ggml_backend_dev_description(device).decode(errors='replace')}"
            for device in found
        ]
    except (ImportError, OSError, AttributeError):
        return []


if __name__ == "__main__":
    if sys.argv[1] == "--describe":
        describe()
    else:
        load_and_serve(json.loads(sys.argv[1]))
