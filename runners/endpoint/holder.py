"""Who holds the server that an endpoint talks to: for a server of somebody else's, nobody here."""

from __future__ import annotations

from typing import Protocol

from runners.base.contract import RequestError


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
