"""The runner 'vllm': `vllm serve` as a command, in whatever environment it lives."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    OptionValue,
)
from runners.base.listening import start_on_free_port
from runners.base.packaging import Packaging
from runners.base.process import Process
from runners.base.readiness import wait_until_ready
from runners.base.speculation import METHODS
from runners.base.stream import fetch
from runners.base.variables import assignments
from runners.vllm.arguments import arguments_of, canonical, canonical_in
from runners.vllm.build import Build, describe, environment, kept_variables
from runners.vllm.log import why
from runners.vllm.methods import applies, support_of
from runners.vllm.server import VllmServer

STARTING_S = 40.0
"""Its processes import PyTorch one after the other; on a GPU it compiles as well."""
GRACE_S = 20.0
"""To end by itself: it has worker processes, and shared memory that only it knows of."""
PORT_TAKEN = ("Address already in use", "address already in use", "Errno 98", "Errno 48")


class Vllm:
    """One vLLM, named as `command_of` takes it; None: the one that is found here."""

    name = "vllm"
    packagings = (Packaging.HF,)
    attached = False

    def __init__(self, program: str | None = None) -> None:
        self._program = program

    def find(self) -> Found | Missing:
        build = describe(self._program)
        if isinstance(build, Missing):
            return build
        return Found(
            version=build.version,
            where=" ".join(build.words),
            methods=tuple(support_of(method, build) for method in METHODS),
            acceptance_source="metrics of each response; positions, and all of builds before 0.29 "
            "(2026), from /metrics counters",
            devices=build.devices,
            starting_s=STARTING_S,
        )

    def _build(self) -> Build:
        build = describe(self._program)
        if isinstance(build, Missing):
            raise build.error
        return build

    def check(self, spec: LaunchSpec) -> None:
        arguments_of(spec, self._build())

    def canonical(self, option: str) -> str:
        build = describe(self._program)
        return canonical(option) if isinstance(build, Missing) else canonical_in(build, option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return applies(option, method)

    def reproduce(self, spec: LaunchSpec) -> str:
        build = self._build()
        settings = {n: value for n, value in kept_variables().items() if n.startswith("VLLM_")}
        command = shlex.join([*build.words, *arguments_of(spec, build)])
        return " ".join([*assignments(settings), command])

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> VllmServer:
        build = self._build()
        # Told apart from any other server that may answer on the port.
        name = f"bench-{secrets.token_hex(4)}"
        arguments = [*arguments_of(spec, build), "--served-model-name", name]
        if build.help.has("disable-uvicorn-access-log"):
            arguments.append("--disable-uvicorn-access-log")
        deadline = time.monotonic() + timeout_s
        process, address = await start_on_free_port(
            lambda port: [*build.words, *arguments, "--host", "127.0.0.1", "--port", str(port)],
            log=log,
            env=environment(),
            is_ready=lambda process, port: _is_ready(process, port, name, log, deadline),
            grace_s=GRACE_S,
        )
        try:
            server = VllmServer(process, address, name, spec, log)
            await server.probe(max(1.0, deadline - time.monotonic()))
        except BaseException:
            await process.stop()
            raise
        return server


async def _is_ready(process: Process, port: int, name: str, log: Path, deadline: float) -> bool:
    """As `start_on_free_port` wants it.

    Raises:
        StartError: as `wait_until_ready`.
    """
    return await wait_until_ready(
        process,
        log,
        deadline,
        is_ours=lambda timeout_s: _is_ours(port, name, timeout_s),
        why_ended=lambda _: _why_ended(log),
    )


async def _is_ours(port: int, name: str, timeout_s: float) -> bool | None:
    """Whether what answers on the port serves our model under its name of this launch."""
    address = f"http://127.0.0.1:{port}"
    if (await fetch(f"{address}/health", timeout_s=timeout_s)).status != 200:
        return None
    reply = await fetch(f"{address}/v1/models", timeout_s=timeout_s)
    try:
        return any(model["id"] == name for model in json.loads(reply.body)["data"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _why_ended(log: Path) -> str | None:
    """The reason in words; None where the port was taken."""
    reason = why(log) or "its log tells no reason"
    return None if any(words in reason for words in PORT_TAKEN) else reason
