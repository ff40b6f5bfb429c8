"""Who holds the server that an endpoint talks to: for a server of somebody else's, nobody here."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Protocol

import psutil

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


def listener(host: str, port: int) -> int | None:
    """The process of this machine that listens there; None on another machine, or not to be seen.

    A server that only passes on, such as the one of a container, is what is found here.
    """
    if not _is_here(host):
        return None
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr[1] == port:
                return each.pid
    return None


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
