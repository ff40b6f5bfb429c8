"""The commands that start a launch of Ollama, to paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from runners.base.stream import JSON
from runners.base.variables import assignments
from runners.ollama.build import Build
from runners.ollama.launch import Settings

NAME = "decodebench"
PORT = 11500


def commands(settings: Settings, build: Build) -> str:
    """`ollama serve`, a Modelfile, `ollama create` and `ollama run`: to paste at once."""
    program = shlex.quote(build.path or "ollama")
    host = build.address or f"127.0.0.1:{PORT}"
    asking = f"OLLAMA_HOST={shlex.quote(host)} {program}"
    lines = []
    if build.own:
        words = ['OLLAMA_MODELS="$(mktemp -d)"', *assignments(settings.variables)]
        lines += [f"{word} \\" for word in (*words, f"OLLAMA_HOST={host}")]
        lines.append(f"{program} serve &")
        # `create` gives up where the server does not listen yet.
        lines.append(f"until {asking} list > /dev/null 2>&1; do sleep 1; done")
    modelfile = [*_files("FROM", settings.model), *_files("DRAFT", settings.draft)]
    modelfile += [f"PARAMETER {name} {_text(v)}" for name, v in settings.parameters.items()]
    lines.append("printf '%s\\n' \\")
    lines += [f"  {shlex.quote(line)} \\" for line in modelfile]
    lines.append("  > Modelfile")
    lines.append(f"{asking} create {NAME} -f Modelfile")
    lines.append(f"{asking} run {NAME}")
    return "\n".join(lines)


def _files(word: str, files: Sequence[Path]) -> list[str]:
    return [f'{word} "{path}"' if " " in str(path) else f"{word} {path}" for path in files]


def _text(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
