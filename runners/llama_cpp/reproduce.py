"""A launch as text to paste: code for the xllamacpp wheel, and a llama-server command line."""

from __future__ import annotations

import shlex
from pathlib import Path

from runners.base.contract import LaunchSpec, OptionValue
from runners.base.option_text import switch
from runners.llama_cpp.fields import OPTIONS, EnumName, fields, is_switch
from runners.llama_cpp.options import launch_options


def reproduce(spec: LaunchSpec) -> str:
    """Both ways; the second only where every option has a name in llama-server."""
    code = python_code(spec)
    if any(name not in OPTIONS for name in launch_options(spec)):
        return code
    return f"{code}\n# or: {shlex.join(command_line(spec))}"


def python_code(spec: LaunchSpec) -> str:
    """A script that serves this launch until Enter is pressed."""
    lines = ["import xllamacpp as x", "p = x.CommonParams()"]
    lines += [f"p.{field.path} = {_code(field.value)}" for field in fields(spec)]
    lines += ["s = x.Server(p); print(s.listening_address); input()"]
    return "\n".join(lines)


def _code(value: object) -> str:
    if isinstance(value, EnumName):
        return f"x.{value.enum}.{value.member}"
    if isinstance(value, tuple):
        return f"[{', '.join(_code(item) for item in value)}]"
    return repr(value)


def command_line(spec: LaunchSpec, program: Path | str = "llama-server") -> list[str]:
    """The same launch as arguments of today's llama-server."""
    argv = [str(program), "--model", str(spec.model)]
    for name, value in launch_options(spec).items():
        argv += _flags(name, value)
    return argv


def _flags(name: str, value: OptionValue) -> list[str]:
    """One option as llama-server takes it: a switch has no value, and some can be switched off."""
    if not is_switch(name):
        # The wheel's fields take 'True' and 'Q8_0' as well, llama-server does not.
        words = name in ("flash-attn", "split-mode") or name.startswith(
            ("cache-type-", "spec-draft-type-")
        )
        return [f"--{name}", str(value).lower() if words else str(value)]
    if switch(str(value)):
        return [f"--{name}"]
    return ["--no-kv-unified"] if name == "kv-unified" else []
