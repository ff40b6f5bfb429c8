"""The runner 'mlx' with MTPLX: `mtplx serve` as a command, for plain decoding and MTP.

Written after the source of mtplx 2.12.2; it was never run on the hardware that it is for.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    OptionValue,
)
from runners.base.listening import start_on_free_port
from runners.base.packaging import Packaging
from runners.base.process import log_tail
from runners.base.readiness import wait_until_ready
from runners.base.speculation import METHODS, PLAIN
from runners.base.support import MethodSupport, Need
from runners.base.variables import assignments
from runners.mlx.mtplx_log import why
from runners.mlx.mtplx_options import METHOD, applies, arguments_of, canonical
from runners.mlx.mtplx_program import NAME, OURS, Program, describe, environment
from runners.mlx.mtplx_prompts import Prompts
from runners.mlx.mtplx_server import MtplxServer, health_of

GRACE_S = 10.0
"""To end by itself: it gives requests five seconds, and then the fans back to the system."""
TO_STANDARD_ERROR = "import os, sys; os.dup2(2, 1); os.execv(sys.argv[1], sys.argv[1:])"
"""A Python program that becomes the command in its arguments, with one output in place of two."""
PORT_TAKEN = ("is already in use", "address already in use", "Address already in use")


class Mtplx:
    """One mtplx, by path or by name on PATH."""

    name = "mlx"
    packagings = (Packaging.MLX, Packaging.HF)
    attached = False

    def __init__(self, program: str) -> None:
        self._name = program
        self._prompts: Prompts | None = None

    def find(self) -> Found | Missing:
        program = describe(self._name)
        if isinstance(program, Missing):
            return program
        return Found(
            version=f"{NAME} {program.version}",
            where=program.path,
            methods=tuple(support_of(method, program) for method in METHODS),
            acceptance_source="mtplx_stats in the last chunk of each response, positions too",
            devices=("Metal",),
        )

    def _program(self) -> Program:
        program = describe(self._name)
        if isinstance(program, Missing):
            raise program.error
        return program

    def check(self, spec: LaunchSpec) -> None:
        self._program()
        arguments_of(spec)

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return applies(option, method)

    def reproduce(self, spec: LaunchSpec) -> str:
        theirs = {name: text for name, text in os.environ.items() if name.startswith("MTPLX_")}
        words = [self._program().path, "serve", *arguments_of(spec)]
        return " ".join([*assignments(theirs | OURS), shlex.join(words)])

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> MtplxServer:
        program = self._program()
        arguments = arguments_of(spec)
        # Told apart from any other server that may answer on the port.
        launch = f"bench-{secrets.token_hex(4)}"
        deadline = time.monotonic() + timeout_s
        health: dict[str, Any] = {}

        async def is_ours(port: int, timeout_s: float) -> bool | None:
            said = await health_of(f"http://127.0.0.1:{port}", timeout_s)
            if said is None:
                return None
            startup = said.get("startup")
            if not (isinstance(startup, dict) and startup.get("launch_id") == launch):
                return False
            health.update(said)
            return True

        process, address = await start_on_free_port(
            lambda port: [
                # Its errors go to standard output, which is not kept.
                *(sys.executable, "-I", "-S", "-c", TO_STANDARD_ERROR),
                *(program.path, "serve", *arguments),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            log=log,
            env=environment(launch),
            is_ready=lambda process, port: wait_until_ready(
                process,
                log,
                deadline,
                is_ours=lambda timeout_s: is_ours(port, timeout_s),
                why_ended=lambda _: _why_ended(log),
            ),
            grace_s=GRACE_S,
        )
        try:
            self._prompts = self._prompts or Prompts(program.python, environment())
            server = MtplxServer(process, address, spec, self._prompts, log)
            await server.probe(health, max(1.0, deadline - time.monotonic()))
        except BaseException:
            await process.stop()
            raise
        return server


def _why_ended(log: Path) -> str | None:
    """The reason in words; None where the port was taken."""
    if any(words in log_tail(log) for words in PORT_TAKEN):
        return None
    return why(log) or "its log tells no reason"


def support_of(method: str, program: Program) -> MethodSupport:
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if method == METHOD:
        note = f"needs {Need.MTP_HEADS.value}"
        return MethodSupport(method, supported=True, note=note, needs=(Need.MTP_HEADS,))
    return MethodSupport(method, supported=False, note=f"not supported by {NAME} {program.version}")
