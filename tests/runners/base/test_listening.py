"""Commands that are told a port. The command is a Python; the other programs are invented."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from runners.base.contract import StartError
from runners.base.listening import PORTS_TRIED, start_on_free_port
from runners.base.process import Process

SLEEPS = (
    "import sys, time; print('up on', sys.argv[1], file=sys.stderr, flush=True); time.sleep(60)"
)


def command(port: int) -> list[str]:
    return [sys.executable, "-c", SLEEPS, str(port)]


def left() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


class Ports:
    """Which ports were tried, and on which attempt one of them is ready."""

    def __init__(self, log: Path, ready_at: int) -> None:
        self.tried: list[int] = []
        self._log = log
        self._ready_at = ready_at

    async def is_ready(self, process: Process, port: int) -> bool:
        self.tried.append(port)
        for _ in range(3000):
            if f"up on {port}" in self._log.read_text():
                break
            await asyncio.sleep(0.01)
        return len(self.tried) == self._ready_at


async def start(ports: Ports, log: Path) -> tuple[Process, str]:
    return await start_on_free_port(command, log=log, env=os.environ, is_ready=ports.is_ready)


async def test_the_next_port_where_one_is_taken(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ports = Ports(log, ready_at=2)
    process, address = await start(ports, log)
    try:
        first, second = ports.tried
        assert address == f"http://127.0.0.1:{second}"
        assert process.ended() is None
        assert f"up on {first}" not in log.read_text()
        assert len(left()) == 2  # The supervisor and the command, of one start.
    finally:
        await process.stop()
    assert left() == []


async def test_every_port_is_taken(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "log", ready_at=0)
    with pytest.raises(StartError, match="3 free ports in a row were taken"):
        await start(ports, tmp_path / "log")
    assert len(ports.tried) == PORTS_TRIED
    assert left() == []


async def test_what_is_ready_raises_and_nothing_is_left(tmp_path: Path) -> None:
    async def fails(process: Process, port: int) -> bool:
        with socket.socket() as probe:  # The port was free.
            probe.bind(("127.0.0.1", port))
        raise StartError("no")

    with pytest.raises(StartError, match="no"):
        await start_on_free_port(command, log=tmp_path / "log", env=os.environ, is_ready=fails)
    assert left() == []


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def never(process: Process, port: int) -> bool:
        waiting.set()
        await asyncio.sleep(60)
        return True

    starting = asyncio.create_task(
        start_on_free_port(command, log=tmp_path / "log", env=os.environ, is_ready=never)
    )
    await waiting.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert left() == []


async def test_the_last_words_on_standard_output_are_in_the_log(tmp_path: Path) -> None:
    """Of a server that logs there, and ends with the reason."""
    log = tmp_path / "log"
    said = (
        "import sys; print('heard'); print('x' * 300_000); print('why:', sys.argv[1]); sys.exit(3)"
    )
    ends: list[str] = []

    async def is_ready(process: Process, port: int) -> bool:
        while (end := process.ended()) is None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        ends.append(end)
        return f"why: {port}" not in log.read_text()

    with pytest.raises(StartError, match="ports in a row"):
        await start_on_free_port(
            lambda port: [sys.executable, "-c", said, str(port)],
            log=log,
            env=os.environ,
            is_ready=is_ready,
            keep_output=True,
        )
    assert ends == ["exited with status 3"] * PORTS_TRIED
    assert not left()
