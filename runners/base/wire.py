"""A connection that stamps what it reads before anybody looks at it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

from runners.base.contract import RequestError

READ_SIZE = 64 * 2**10
LARGEST_BACKLOG = 4 * 2**20
"""Bytes read and not yet asked for, above which the connection is not read on for a while."""


class _Turns:
    """Wakes one waiting task in each round of the event loop.

    Between two tasks' work the loop then takes in, and stamps, all that has arrived meanwhile:
    with many streams a stamp waits for one event to be parsed, not for one of each stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        self._waiting.append(waiter)
        if not self._busy:
            self._busy = True
            self._next()

    def _next(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._loop.call_soon(self._next)
                return
        self._busy = False


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


class Wire(asyncio.BufferedProtocol):
    """One connection: keeps every read with the time at which it came in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turns = _turns.setdefault(loop, _Turns(loop))
        # asyncio's plain Protocol makes a new buffer of 256 KiB for every read.
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._reads: deque[tuple[float, bytes]] = deque()
        self._backlog = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: RequestError | None = None
        self._ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._reads.append((time.perf_counter(), bytes(self._buffer[:nbytes])))
        self._backlog += nbytes
        if self._backlog > LARGEST_BACKLOG and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.fail(RequestError(f"the server broke the connection: {exc}", server_lost=True))
        self._ended = True
        self._wake()

    def fail(self, failure: RequestError) -> None:
        """Give up the connection; what has been read can still be asked for."""
        self._failure = self._failure or failure
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    async def read(self) -> tuple[float, bytes]:
        """The next read and its time; b'' at the end.

        Raises:
            RequestError: the connection was reset or given up.
        """
        while not self._reads:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return time.perf_counter(), b""
            self._waiter = self._loop.create_future()
            await self._waiter
        read = self._reads.popleft()
        self._backlog -= len(read[1])
        if self._paused and not self._reads and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return read

    def _wake(self) -> None:
        if self._waiter is not None:
            self._turns.wake(self._waiter)
            self._waiter = None
