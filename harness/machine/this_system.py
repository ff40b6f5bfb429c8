"""Chooses the file that knows the system this process runs on."""

from __future__ import annotations

import platform

from harness.machine.system import System


def this_system() -> System:
    """The answers for the system this process runs on."""
    match platform.system():
        case "Linux":
            from harness.machine.linux import Linux  # noqa: PLC0415

            return Linux()
        case "Darwin":
            from harness.machine.darwin import Darwin  # noqa: PLC0415

            return Darwin()
        case _:
            return System()
