"""What only the operating system knows of the machine: the seam, and what holds everywhere."""

from __future__ import annotations

import os
import platform
import re

import psutil


class System:
    """Answers that need nothing but Python and psutil; a system's own file refines them."""

    def name(self) -> str:
        """'Linux 6.1 x86_64': the kernel's first two numbers, since the rest may be anything."""
        version = re.match(r"\d+(\.\d+)?", platform.release())
        parts = (platform.system(), version.group() if version else "", platform.machine())
        return " ".join(part for part in parts if part)

    def cpu(self) -> str:
        return platform.processor() or platform.machine() or "unknown"

    def threads(self) -> int:
        """Logical processors that this process may use."""
        return os.cpu_count() or 1

    def physical_cores(self) -> int:
        """Physical cores that this process may use, at least 1."""
        return max(1, min(psutil.cpu_count(logical=False) or self.threads(), self.threads()))

    def last_level_cache_bytes(self) -> int | None:
        """The last-level caches of all sockets and clusters together."""
        return None

    def memory_bytes(self) -> int:
        return int(psutil.virtual_memory().total)

    def available_memory_bytes(self) -> int:
        return int(psutil.virtual_memory().available)

    def is_virtual(self) -> bool | None:
        """None where it cannot be told."""
        return None

    def apple_gpu_cores(self) -> int | None:
        """GPU cores of an Apple chip: they tell which memory bus a 'Max' chip has."""
        return None
