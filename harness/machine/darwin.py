"""macOS: sysctl, and ioreg for the GPU's cores. Not run on a Mac by this project's tests."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable, Sequence

from harness.machine.system import System

GPU_CORES = re.compile(r'"gpu-core-count"\s*=\s*(\d+)')


def run_command(command: Sequence[str]) -> str:
    """What the command prints; '' where it is missing, fails, or hangs."""
    try:
        result = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=5, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


class Darwin(System):
    """`run` runs a command and gives what it printed."""

    def __init__(self, run: Callable[[Sequence[str]], str] = run_command) -> None:
        self._run = run

    def name(self) -> str:
        return f"macOS {platform.mac_ver()[0]} {platform.machine()}"

    def cpu(self) -> str:
        return self._sysctl("machdep.cpu.brand_string") or super().cpu()

    def last_level_cache_bytes(self) -> int | None:
        """L3 of an Intel Mac, else the performance cores' L2.

        Apple's system-level cache (8 to 96 MB) stands behind it, and sysctl does not tell it.
        """
        for name in ("hw.l3cachesize", "hw.perflevel0.l2cachesize", "hw.l2cachesize"):
            text = self._sysctl(name)
            if text.isdecimal() and int(text) > 0:
                return int(text)
        return None

    def is_virtual(self) -> bool | None:
        return {"0": False, "1": True}.get(self._sysctl("kern.hv_vmm_present"))

    def apple_gpu_cores(self) -> int | None:
        found = GPU_CORES.search(self._run(["/usr/sbin/ioreg", "-rc", "AGXAccelerator", "-d1"]))
        return int(found.group(1)) if found else None

    def _sysctl(self, name: str) -> str:
        return self._run(["/usr/sbin/sysctl", "-n", name])
