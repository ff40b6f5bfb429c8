"""Starts a runner's process, reads what it says, and ends it with all its children.

The only place that starts processes of runners. Every command goes through `supervisor.py`, which
ends it even when this process is killed with SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from runners.base.contract import RequestError, StartError

SUPERVISOR = Path(__file__).with_name("supervisor.py")
LONGEST_LINE = 1 << 16
DYING_S = 2.0
"""How long a command that dropped a connection may take to be gone, to count as dead."""


def free_port() -> int:
    """A port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def log_tail(log: Path, lines: int = 12, longest: int = 400) -> str:
    """The last lines of a log, each cut to `longest` characters; '' where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(line[:longest] for line in text.splitlines()[-lines:])


def describe_exit(returncode: int) -> str:
    """'was killed by SIGSEGV', or 'exited with status 1'."""
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was killed by {name}"


class Process:
    """A runner's process under a supervisor. Make one with `start`."""

    def __init__(self, supervisor: asyncio.subprocess.Process, log: Path, grace_s: float) -> None:
        self._supervisor = supervisor
        self._log = log
        self._grace_s = grace_s
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())
        self._listening = True
        self._keeping = False
        self._gone_at: float | None = None
        self.pid = 0

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        grace_s: float = 5.0,
    ) -> Process:
        """Start a command with its standard error in `log`.

        `grace_s` is how long it has to end by itself when it is stopped, before it is killed.

        Raises:
            StartError: the command does not exist or cannot be executed.
        """
        try:
            with log.open("ab") as stderr:
                supervisor = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-I",
                    "-S",
                    str(SUPERVISOR),
                    str(grace_s),
                    *argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                    env=None if env is None else dict(env),
                )
        except OSError as error:
            raise StartError(f"cannot start a process or write {log}: {error.strerror}") from None
        except ValueError as error:  # A zero byte, which no argument can hold.
            raise StartError(f"an argument of {argv[0]} cannot be passed on: {error}") from None
        process = cls(supervisor, log, grace_s)
        try:
            process.pid = int(await process.read_line(timeout_s=30))
        except BaseException:
            await process.stop()
            raise
        return process

    async def _read(self) -> None:
        """Pass on the lines of standard output while somebody listens; never let it fill up."""
        stdout = self._supervisor.stdout
        assert stdout is not None
        rest = b""
        while data := await stdout.read(LONGEST_LINE):
            if self._keeping:
                with contextlib.suppress(OSError), self._log.open("ab") as log:
                    log.write(data)
            if not self._listening:
                continue
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.put_nowait(line.decode(errors="replace"))
            rest = rest[:LONGEST_LINE]
        self._lines.put_nowait(None)

    async def read_line(self, timeout_s: float) -> str:
        """The next line of the command's standard output.

        Raises:
            StartError: the command ended first, or said nothing within `timeout_s`.
        """
        try:
            line = await asyncio.wait_for(self._lines.get(), timeout_s)
        except TimeoutError:
            raise StartError(f"said nothing for {timeout_s:g} s", log_tail(self._log)) from None
        if line is None:
            self._lines.put_nowait(None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._supervisor.wait(), self._grace_s + 15)
            raise StartError(self.ended() or "closed its output", log_tail(self._log))
        return line

    async def read_address(self, timeout_s: float) -> str:
        """The address in the command's line {"listening": "http://127.0.0.1:PORT"}.

        Other lines are passed over: where a library crashes, a debugger may write there.

        Raises:
            StartError: as `read_line`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            line = await self.read_line(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(ValueError, LookupError, TypeError):
                return str(json.loads(line)["listening"])

    def stop_listening(self, *, keep: bool = False) -> None:
        """From now on throw the command's standard output away, or `keep` it in the log."""
        self._listening = False
        self._keeping = keep

    def ended(self) -> str | None:
        """How the command ended, in words; None while it runs."""
        code = self._supervisor.returncode
        if code is None:
            return None
        if self._keeping and not self._reader.done():
            # Its last words are on their way to the log; a process that got away may hold the pipe.
            self._gone_at = self._gone_at or time.monotonic()
            if time.monotonic() < self._gone_at + DYING_S:
                return None
        return describe_exit(code)

    async def explain(self, error: RequestError) -> RequestError:
        """The error of a lost connection, with how the command ended if that is the reason."""
        if not error.server_lost:
            return error
        # The supervisor ends when all that the command has started is gone as well.
        for patience_s in (DYING_S, self._grace_s + 15):
            try:
                await asyncio.wait_for(self._supervisor.wait(), patience_s)
            except TimeoutError:
                if psutil.pid_exists(self.pid):
                    return error
        if self.ended() is None:
            return error
        return RequestError(f"the runner {self.ended()} during the request", server_lost=True)

    async def stop(self) -> None:
        """End the command and everything it started, even when cancelled. Safe to call twice."""
        stopping = asyncio.ensure_future(self._stop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping
            raise

    async def _stop(self) -> None:
        stdin = self._supervisor.stdin
        assert stdin is not None
        stdin.close()
        try:
            await asyncio.wait_for(self._supervisor.wait(), self._grace_s + 15)
        except TimeoutError:
            for child in psutil.Process(self._supervisor.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            with contextlib.suppress(ProcessLookupError):
                self._supervisor.kill()
            await self._supervisor.wait()
        try:
            await asyncio.wait_for(self._reader, DYING_S)
        except TimeoutError:  # A process that got away holds the pipe: it is not waited for.
            await asyncio.sleep(0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await stdin.wait_closed()
