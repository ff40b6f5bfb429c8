"""The contract of a build of llama.cpp: the wheel's embedded server, or a llama-server binary.

The runner launches, probes and reads both alike; only what differs stands behind this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from runners.base.contract import Found, LaunchSpec, Missing
from runners.base.process import Process


class Build(Protocol):
    """One installed (or missing) llama.cpp server."""

    def find(self) -> Found | Missing:
        """Version, devices and methods of the build."""

    def canonical(self, option: str) -> str:
        """Today's long name of an option, however this build or an article spells it."""

    def check(self, spec: LaunchSpec) -> None:
        """Whether the build can be launched so.

        Raises:
            UsageError: it has no such method, option or value.
        """

    def reproduce(self, spec: LaunchSpec) -> str:
        """What a user pastes to start this very launch."""

    async def launch(self, spec: LaunchSpec, log: Path, timeout_s: float) -> tuple[Process, str]:
        """Start it and wait until its address ('http://127.0.0.1:PORT') answers.

        Raises:
            UsageError: as `check`.
            StartError: it ended or hung; nothing is left running.
        """
