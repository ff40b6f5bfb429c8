"""Starts servers that are told a port: another program may take it between choice and start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from runners.base.contract import StartError
from runners.base.process import Process, free_port

PORTS_TRIED = 3


async def start_on_free_port(
    argv: Callable[[int], Sequence[str]],
    *,
    log: Path,
    env: Mapping[str, str] | Callable[[int], Mapping[str, str]],
    is_ready: Callable[[Process, int], Awaitable[bool]],
    grace_s: float = 5.0,
    keep_output: bool = False,
) -> tuple[Process, str]:
    """Start a command on a port that it is told, and wait until it is ready; with its address.

    `argv` makes the command of a port, and `env` its variables where they name it. `is_ready`
    waits, and is False where another program has the port: the next one is then tried, with an
    empty log. `keep_output` is for servers that log to standard output: it goes to `log` too.

    Raises:
        StartError: what `is_ready` raises, or every port was taken. Nothing is left running.
    """
    for _ in range(PORTS_TRIED):
        port = free_port()
        variables = env(port) if callable(env) else env
        process = await Process.start(argv(port), log=log, env=variables, grace_s=grace_s)
        process.stop_listening(keep=keep_output)
        try:
            if await is_ready(process, port):
                return process, f"http://127.0.0.1:{port}"
        except BaseException:
            await process.stop()
            raise
        await process.stop()
        _forget(log)
    raise StartError(f"{PORTS_TRIED} free ports in a row were taken by others")


def _forget(log: Path) -> None:
    """So that the next start is not judged by what this one said."""
    log.unlink(missing_ok=True)
