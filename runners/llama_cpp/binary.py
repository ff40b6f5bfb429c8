"""A llama-server binary, of whatever age: what it can do is read from the binary itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from runners.base.contract import Found, LaunchSpec, Missing, UsageError
from runners.base.listening import start_on_free_port
from runners.base.process import Process, log_tail
from runners.base.readiness import wait_until_ready
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
            raise error.missing.error from None
        return Dialect(build.version, build.help)


def _support(method: str, dialect: Dialect) -> MethodSupport:
    if method == PLAIN:
        return MethodSupport(method, supported=True)
    if (reason := dialect.lacks(method)) is not None:
        return MethodSupport(method, supported=False, note=reason)
    return LLAMA_METHODS[method].support(method)


async def _is_ready(process: Process, port: int, log: Path, deadline: float) -> bool:
    """As `start_on_free_port` wants it.

    Raises:
        StartError: as `wait_until_ready`.
    """

    async def is_ours(timeout_s: float) -> bool | None:
        reply = await fetch(f"http://127.0.0.1:{port}/health", timeout_s=timeout_s)
        return _listens(process.pid, port) if reply.status == 200 else None

    return await wait_until_ready(
        process,
        log,
        deadline,
        is_ours=is_ours,
        why_ended=lambda ended: _why_ended(ended, log, port),
    )


def _why_ended(ended: str, log: Path, port: int) -> str | None:
    """The reason in words; None where the port was taken."""
    reason = why(log)
    # Some builds end before they have written why.
    if "couldn't bind" in (reason or "") or (reason is None and _is_taken(port)):
        return None
    reason = reason or "its log tells no reason"
    if "SIGILL" in ended:
        return f"{NATIVE_ADVICE}; its log ends with: {log_tail(log, lines=1)}"
    return reason


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
