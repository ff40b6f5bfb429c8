"""A llama-server binary, of whatever age: what it can do is read from the binary itself."""

from __future__ import annotations

from pathlib import Path

from runners.base.contract import Found, LaunchSpec, Missing
from runners.base.process import Process
from runners.llama_cpp.options import canonical


class Binary:
    """One llama-server: a path, or a name to be found on PATH."""

    def __init__(self, program: str) -> None:
        self._program = program

    def find(self) -> Found | Missing:
        raise NotImplementedError

    def canonical(self, option: str) -> str:
        return canonical(option)

    def check(self, spec: LaunchSpec) -> None:
        raise NotImplementedError

    def reproduce(self, spec: LaunchSpec) -> str:
        raise NotImplementedError

    async def launch(self, spec: LaunchSpec, log: Path, timeout_s: float) -> tuple[Process, str]:
        raise NotImplementedError
