"""A llama-server binary, of whatever age: what it can do is read from the binary itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from runners.base.contract import Found, LaunchSpec, Missing, RequestError, StartError, UsageError
from runners.base.listening import start_on_free_port
from runners.base.process import Process, log_tail
from runners.base.speculation import METHODS, PLAIN
from runners.base.stream import fetch
from runners.base.support import MethodSupport
from runners.llama_cpp.arguments import Dialect
from runners.llama_cpp.binary_build import (
    NATIVE_ADVICE,
    UnusableError,
    describe,
    devices,
    environment,
)
from runners.llama_cpp.log import why
from runners.llama_cpp.methods import METHODS as LLAMA_METHODS
from runners.llama_cpp.options import canonical

POLL_S = 0.02
HEALTH_S = 10.0


class Binary:
    """One llama-server: a path, or a name to be found on PATH."""

    def __init__(self, program: str) -> None:
        self._program = program

    def find(self) -> Found | Missing:
        try:
            build = describe(self._program)
            found_devices = devices(build.path)
        except UnusableError as error:
            return error.missing
        dialect = Dialect(build.version, build.help)
        return Found(
            version=build.version,
            where=str(build.path),
            methods=tuple(_support(method, dialect) for method in METHODS),
            acceptance_source="timings of each response; positions from /metrics if it counts them",
            devices=found_devices,
        )

    def canonical(self, option: str) -> str:
        try:
            return self._dialect().canonical(option)
        except UsageError:  # `check` and `launch` say what is wrong with the program.
            return canonical(option)

    def check(self, spec: LaunchSpec) -> None:
        self._dialect().arguments(spec)

    def reproduce(self, spec: LaunchSpec) -> str:
        # A shell would leave a quoted tilde as it is.
        program = os.path.expanduser(self._program)  # noqa: PTH111 - a name must stay a name
        return shlex.join([program, *self._dialect().arguments(spec)])

    async def launch(self, spec: LaunchSpec, log: Path, timeout_s: float) -> tuple[Process, str]:
        arguments = self._dialect().arguments(spec)
        program = str(describe(self._program).path)
        deadline = time.monotonic() + timeout_s
        return await start_on_free_port(
            lambda port: [program, *arguments, "--host", "127.0.0.1", "--port", str(port)],
            log=log,
            env=environment(),
            is_ready=lambda process, port: _is_ready(process, port, log, deadline),
        )

    def _dialect(self) -> Dialect:
        """How the build names methods and options.

        Raises:
            UsageError: the program is missing, broken, or no llama-server.
        """
        try:
            build = describe(self._program)
        except UnusableError as error:
            raise UsageError(f"{error.missing.reason}; {error.missing.advice}") from None
        return Dialect(build.version, build.help)


def _support(method: str, dialect: Dialect) -> MethodSupport:
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if (reason := dialect.lacks(method)) is not None:
        return MethodSupport(method, supported=False, note=reason)
    return LLAMA_METHODS[method].support(method)


async def _is_ready(process: Process, port: int, log: Path, deadline: float) -> bool:
    """Wait until the model is loaded; False where another program has the port.

    Raises:
        StartError: the server ended, or is not ready at the deadline.
    """
    while (left := deadline - time.monotonic()) > 0:
        if (ended := process.ended()) is not None:
            return _explain(ended, log, port)
        with contextlib.suppress(RequestError):  # Not listening yet.
            url = f"http://127.0.0.1:{port}/health"
            reply = await fetch(url, timeout_s=min(HEALTH_S, left))
            if reply.status == 200 and process.ended() is None:
                return _listens(process.pid, port)
        await asyncio.sleep(POLL_S)
    last = log_tail(log, lines=1) or "nothing"
    raise StartError(f"was not ready in time; its log ends with: {last}", log_tail(log))


def _explain(ended: str, log: Path, port: int) -> bool:
    """False where the port was taken.

    Raises:
        StartError: it ended for any other reason.
    """
    reason = why(log)
    # Some builds end before they have written why.
    if "couldn't bind" in (reason or "") or (reason is None and _is_taken(port)):
        return False
    if "SIGILL" in ended:
        last = log_tail(log, lines=1)
        ended = f"{ended}, {NATIVE_ADVICE}; its log ends with: {last}"
    raise StartError(f"{ended}: {reason or 'its log tells no reason'}", log_tail(log))


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # Connections that the server itself has just closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _listens(pid: int, port: int) -> bool:
    """Whether what answers on the port is this very server, and no other program beside it.

    Builds before April 2026 share a port with whoever does so too, and each gets some requests.
    """
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
        with contextlib.suppress(psutil.AccessDenied):  # macOS: of one's own processes only.
            everybody = psutil.net_connections(kind="tcp")
            found = {each.pid for each in everybody if _is_on(each.status, each.laddr, port)}
            return bool(found) and found <= {process.pid for process in family}
        return any(
            _is_on(each.status, each.laddr, port)
            for process in family
            for each in process.net_connections(kind="tcp")
        )
    except psutil.Error:  # Not allowed to look: what it answers to the probe must do.
        return True


def _is_on(status: str, address: Sequence[object], port: int) -> bool:
    return status == psutil.CONN_LISTEN and address[1:2] == (port,)
