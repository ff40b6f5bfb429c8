"""llama.cpp: its own server, embedded from the xllamacpp wheel or a llama-server binary."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from runners.base.contract import Found, LaunchSpec, Missing, OptionValue
from runners.base.model_files import refuse_folders
from runners.base.packaging import Packaging
from runners.llama_cpp.build import Build
from runners.llama_cpp.methods import applies, needed_options
from runners.llama_cpp.server import LlamaCppServer


class LlamaCpp:
    """The runner 'llama.cpp', over one build of it."""

    name = "llama.cpp"
    packagings = (Packaging.GGUF,)
    attached = False

    def __init__(self, build: Build) -> None:
        self._build = build

    def find(self) -> Found | Missing:
        return self._build.find()

    def check(self, spec: LaunchSpec) -> None:
        refuse_folders(spec, self.name)
        self._build.check(spec)

    def canonical(self, option: str) -> str:
        return self._build.canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return needed_options(method, draft_tokens)

    def applies(self, option: str, method: str) -> bool:
        return applies(self._build.canonical(option), method)

    def reproduce(self, spec: LaunchSpec) -> str:
        return self._build.reproduce(spec)

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> LlamaCppServer:
        deadline = time.monotonic() + timeout_s
        process, address = await self._build.launch(spec, log, timeout_s)
        try:
            server = LlamaCppServer(process, address, spec, log)
            await server.probe(max(1.0, deadline - time.monotonic()))
        except BaseException:
            await process.stop()
            raise
        return server
