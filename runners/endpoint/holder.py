"""Who holds the server that an endpoint talks to: a launch of ours, or nobody here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from runners.base.contract import RequestError
from runners.base.failure import Manner, first_error, read_end, size_of
from runners.base.process import Process


class Holder(Protocol):
    """What an `EndpointServer` must know of the process behind it; `process.Process` is one."""

    @property
    def pid(self) -> int | None: ...

    async def explain(self, error: RequestError) -> RequestError:
        """The error, with how the process ended if that is its reason."""

    async def stop(self) -> None: ...


class Visitor:
    """Holds nothing: the server was there before, and stays."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid

    async def explain(self, error: RequestError) -> RequestError:
        return error

    async def stop(self) -> None:
        """The server is not ours to end."""


class Held:
    """The process of a launch, with what has to go with it."""

    def __init__(self, process: Process, scratch: Path, log: Path, manner: Manner) -> None:
        self._process = process
        self._scratch = scratch
        self._log = log
        self._logged = size_of(log)
        self._manner = manner

    @property
    def pid(self) -> int:
        return self._process.pid

    async def explain(self, error: RequestError) -> RequestError:
        """The error, with how the program ended and why, as its log tells."""
        said = await self._process.explain(error)
        if self._process.ended() is None:
            return said
        reason = first_error(read_end(self._log, self._logged), self._manner)
        return said if reason is None else RequestError(f"{said}: {reason}", server_lost=True)

    async def stop(self) -> None:
        try:
            await self._process.stop()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
