"""Waits until a server that was told its port is up, without taking another program for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from runners.base.contract import RequestError, StartError
from runners.base.process import Process, log_tail

POLL_S = 0.05
LOOK_S = 10.0
"""Limit for one look at the port."""


async def wait_until_ready(
    process: Process,
    log: Path,
    deadline: float,
    *,
    is_ours: Callable[[float], Awaitable[bool | None]],
    why_ended: Callable[[str], str | None],
) -> bool:
    """Whether our server is up; False where another program has the port.

    `deadline` is on the clock of `time.monotonic`. `is_ours` looks at the port, for as many seconds
    as it is given: None where nothing is up there yet, False where another program answers.
    `why_ended` tells the reason of an end, such as 'exited with status 1', or None where the port
    was taken.

    Raises:
        StartError: the server ended, or is not up at the deadline.
    """
    while (left := deadline - time.monotonic()) > 0:
        if (ended := process.ended()) is not None:
            if (reason := why_ended(ended)) is None:
                return False
            raise StartError(f"{ended}: {reason}", log_tail(log))
        with contextlib.suppress(RequestError):  # Not listening yet.
            ours = await is_ours(min(LOOK_S, left))
            if ours is not None and process.ended() is None:
                return ours
        await asyncio.sleep(POLL_S)
    last = log_tail(log, lines=1) or "nothing"
    raise StartError(f"was not ready in time; its log ends with: {last}", log_tail(log))
