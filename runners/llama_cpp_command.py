"""A launch as text to paste: code for the xllamacpp wheel, and a llama-server command line."""

from __future__ import annotations

import shlex
from pathlib import Path

from runners.base.contract import LaunchSpec, OptionValue
from runners.llama_cpp_options import (
    METHODS,
    OPTIONS,
    WITH_DRAFT_FILE,
    EnumName,
    canonical,
    fields,
    inverse,
    switch,
)


def reproduce(spec: LaunchSpec) -> str:
    """Both ways; the second only where every option has a name in llama-server."""
    code = python_code(spec)
    if any(canonical(name) not in OPTIONS for name, _ in spec.options):
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
    """The same launch as arguments of a llama-server binary (flag names of June 2026 and later)."""
    speculation = spec.speculation
    argv = [str(program), "--model", str(spec.model), "--metrics", "--no-cache-prompt"]
    argv += ["--cache-ram", "0"]
    given = {canonical(option): value for option, value in spec.options}
    given.setdefault("parallel", 1)
    given.setdefault("ctx-size", spec.context)
    if not speculation.is_plain:
        method = METHODS[speculation.method]
        argv += ["--spec-type", method.spec_type, f"--{method.draft_length}"]
        argv.append(str(speculation.draft_tokens))
        if speculation.draft_model is not None and speculation.method in WITH_DRAFT_FILE:
            argv += ["--spec-draft-model", str(speculation.draft_model)]
    for name, value in given.items():
        argv += _flags(name, value)
    return argv


_SWITCHES = {"no-mmap", "mlock"} | {
    name for name, option in OPTIONS.items() if option.parse in (switch, inverse)
}


def _flags(name: str, value: OptionValue) -> list[str]:
    """One option as llama-server takes it: a switch has no value, and some can be switched off."""
    if name not in _SWITCHES:
        return [f"--{name}", str(value)]
    if switch(str(value)):
        return [f"--{name}"]
    return ["--no-kv-unified"] if name == "kv-unified" else []
