"""The runner 'ollama': its own `ollama serve` for each launch, or a model in one that runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    OptionValue,
    RunnerError,
    StartError,
)
from runners.base.exchange import split_url
from runners.base.listener import listener
from runners.base.listening import start_on_free_port
from runners.base.packaging import Packaging
from runners.base.process import Process, log_tail
from runners.base.readiness import wait_until_ready
from runners.base.speculation import METHODS
from runners.base.stream import fetch
from runners.ollama.build import Build, describe, environment
from runners.ollama.launch import Settings, settings_of
from runners.ollama.log import NO_PORT, listens_on, why
from runners.ollama.methods import support_of
from runners.ollama.models import Models
from runners.ollama.options import applies, canonical
from runners.ollama.place import Place
from runners.ollama.reproduce import commands
from runners.ollama.server import OllamaServer
from runners.ollama.store import Store

STARTING_S = 5.0
"""It looks for GPUs first."""
GRACE_S = 10.0
VISIT = "30m"
"""How long somebody else's server keeps a model loaded that a killed bench has left there."""


class Ollama:
    """A program, by path or name, or the address of a server; None: `ollama` on PATH."""

    name = "ollama"
    packagings = (Packaging.GGUF,)
    attached = False

    def __init__(self, program: str | None = None) -> None:
        self._program = program

    def find(self) -> Found | Missing:
        build = describe(self._program)
        if isinstance(build, Missing):
            return build
        return Found(
            version=build.version.text,
            where=build.where,
            methods=tuple(support_of(method, build) for method in METHODS),
            acceptance_source=_acceptance_source(build),
            starting_s=STARTING_S,
        )

    def _build(self) -> Build:
        build = describe(self._program)
        if isinstance(build, Missing):
            raise build.error
        return build

    def check(self, spec: LaunchSpec) -> None:
        settings_of(spec, self._build())

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return applies(option, method)

    def reproduce(self, spec: LaunchSpec) -> str:
        build = self._build()
        return commands(settings_of(spec, build), build)

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> OllamaServer:
        build = self._build()
        settings = settings_of(spec, build)
        deadline = time.monotonic() + timeout_s
        name = f"decodebench-{secrets.token_hex(4)}"
        if build.path is None:
            address = build.address or ""
            where = split_url(address)
            place = Place(address, None, listener(where.host, where.port), log, None)
        else:
            place = await _serve(build.path, settings, log, deadline)
        models = Models(place.address, name)
        server = OllamaServer(place, models, spec, settings)
        try:
            await models.make(settings, place.store, _left(deadline))
            keep = -1 if build.own else VISIT
            await models.load(_left(deadline), keep=keep)
            await server.probe(_left(deadline), has_child=build.version.runs_llama_server)
        except BaseException as error:
            tail = log_tail(log)
            await server.stop()
            if isinstance(error, RunnerError) and not isinstance(error, StartError):
                raise StartError(f"the model cannot be served: {error}", tail) from None
            raise
        return server


def _acceptance_source(build: Build) -> str:
    if not build.version.runs_llama_server:
        return "none: it runs without speculation"
    if not build.own:
        return "not exposed by its API; only the log of the server tells"
    return "/metrics counters of its llama-server, or its log"


def _left(deadline: float) -> float:
    return max(1.0, deadline - time.monotonic())


async def _serve(path: str, settings: Settings, log: Path, deadline: float) -> Place:
    """Start `ollama serve` with a store of its own.

    Raises:
        StartError: it ended or hung; nothing is left running, and nothing of the store.
    """
    store = Store(log)
    store.clear()
    variables = environment({**settings.variables, "OLLAMA_MODELS": str(store.folder)})
    try:
        store.folder.mkdir(parents=True)
        process, address = await start_on_free_port(
            lambda port: [path, "serve"],
            log=log,
            env=lambda port: {**variables, "OLLAMA_HOST": f"127.0.0.1:{port}"},
            is_ready=lambda process, port: _is_ready(process, port, log, deadline),
            grace_s=GRACE_S,
        )
    except OSError as error:
        raise StartError(f"{store.folder} cannot be made: {error.strerror}") from None
    except BaseException:
        store.clear()
        raise
    return Place(address, process, process.pid, log, store)


async def _is_ready(process: Process, port: int, log: Path, deadline: float) -> bool:
    """As `start_on_free_port` wants it.

    Raises:
        StartError: as `wait_until_ready`.
    """

    async def is_ours(timeout_s: float) -> bool | None:
        reply = await fetch(f"http://127.0.0.1:{port}/api/version", timeout_s=timeout_s)
        # Another program that has the port answers too; ours then ends.
        return True if reply.status == 200 and listens_on(log, port) else None

    return await wait_until_ready(
        process,
        log,
        deadline,
        is_ours=is_ours,
        why_ended=lambda _: _why_ended(log),
    )


def _why_ended(log: Path) -> str | None:
    """The reason in words; None where the port was taken."""
    reason = why(log) or "its log tells no reason"
    return None if NO_PORT in reason else reason
