"""Waiting for a server. The command is a Python; what answers on its port is invented."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runners.base.contract import RequestError, StartError
from runners.base.process import Process
from runners.base.readiness import wait_until_ready

SLEEPS = "import sys, time; print('loading', file=sys.stderr, flush=True); time.sleep(60)"


@asynccontextmanager
async def process_of(code: str, log: Path) -> AsyncIterator[Process]:
    process = await Process.start([sys.executable, "-c", code], log=log)
    process.stop_listening()
    try:
        yield process
    finally:
        await process.stop()


async def waited(
    process: Process,
    log: Path,
    looks: Sequence[bool | RequestError | None],
    *,
    timeout_s: float = 30,
) -> bool:
    """What comes of one look after the other; the last one is repeated."""
    looked = 0

    async def is_ours(left: float) -> bool | None:
        nonlocal looked
        assert 0 < left <= min(10, timeout_s)
        look = looks[min(looked, len(looks) - 1)]
        looked += 1
        if isinstance(look, RequestError):
            raise look
        return look

    ready = await wait_until_ready(
        process, log, time.monotonic() + timeout_s, is_ours=is_ours, why_ended=lambda _: None
    )
    assert looked == len(looks)
    return ready


async def test_it_is_up_once_it_answers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    refused = RequestError("no connection", server_lost=True)
    async with process_of(SLEEPS, log) as process:
        assert await waited(process, log, [refused, None, None, True])
        assert not await waited(process, log, [None, False])


async def test_an_end_has_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"

    async def another(_: float) -> bool:
        """A program that answers where ours would have listened."""
        while process.ended() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return True

    async def ready(why_ended: Callable[[str], str | None]) -> bool:
        return await wait_until_ready(
            process, log, time.monotonic() + 30, is_ours=another, why_ended=why_ended
        )

    async with process_of("import sys; sys.exit('no model')", log) as process:
        with pytest.raises(StartError, match=r"^exited with status 1: it .* 1 as well$") as caught:
            await ready(lambda ended: f"it {ended} as well")
        assert caught.value.log_tail == "no model"
        assert not await ready(lambda _: None)


async def test_it_is_not_up_in_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with process_of(SLEEPS, log) as process:
        while not log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with pytest.raises(StartError, match=r"^was not ready in time; .* ends with: loading$"):
            await waited(process, log, [None], timeout_s=0.3)
