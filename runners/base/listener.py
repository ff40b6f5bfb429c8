"""Who listens at an address of this machine."""

from __future__ import annotations

import contextlib
import ipaddress

import psutil


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
