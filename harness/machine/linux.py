"""Linux: /proc/cpuinfo, sysfs, affinity and control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path

from harness.machine.system import System

VIRTUAL_VENDORS = ("QEMU", "VMware", "Xen", "innotek", "Parallels", "Amazon EC2", "Google")
"""DMI names of virtual machines, for processors without a 'hypervisor' flag."""


class Linux(System):
    """`root` is '/' but in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def cpu(self) -> str:
        for key in ("model name", "Hardware", "Model"):
            if name := self._cpuinfo(key):
                return name
        implementer, part = self._cpuinfo("CPU implementer"), self._cpuinfo("CPU part")
        if implementer and part:
            return f"ARM implementer {implementer} part {part}"
        return super().cpu()

    def threads(self) -> int:
        allowed = len(os.sched_getaffinity(0))
        return max(1, min(allowed, self._cpu_quota() or allowed))

    def physical_cores(self) -> int:
        siblings = {
            self._text(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            for cpu in os.sched_getaffinity(0)
        }
        if None in siblings:
            return super().physical_cores()
        return max(1, min(len(siblings), self.threads()))

    def last_level_cache_bytes(self) -> int | None:
        """The highest level's instances, each counted once however many processors share it."""
        found: dict[int, dict[str, int]] = {}
        for cache in self.root.glob("sys/devices/system/cpu/cpu[0-9]*/cache/index*"):
            here = cache.relative_to(self.root).as_posix()
            level, size = self._text(f"{here}/level"), _cache_size(self._text(f"{here}/size"))
            if self._text(f"{here}/type") == "Instruction" or not size:
                continue
            if level is not None and level.isdecimal():
                sharers = self._text(f"{here}/shared_cpu_list") or here
                found.setdefault(int(level), {})[sharers] = size
        return sum(found[max(found)].values()) if found else None

    def memory_bytes(self) -> int:
        total = super().memory_bytes()
        return min(total, self._memory_limit() or total)

    def available_memory_bytes(self) -> int:
        available = super().available_memory_bytes()
        limit = self._memory_limit()
        if limit is None:
            return available
        used = self._number("sys/fs/cgroup/memory.current")
        if used is None:
            used = self._number("sys/fs/cgroup/memory/memory.usage_in_bytes") or 0
        return min(available, max(0, limit - max(0, used - self._reclaimable())))

    def is_virtual(self) -> bool | None:
        if (flags := self._cpuinfo("flags")) is not None:  # x86: every hypervisor sets the bit
            return "hypervisor" in flags.split()
        if (
            self._text("sys/hypervisor/type")
            or (self.root / "proc/device-tree/hypervisor").exists()
        ):
            return True
        vendor = self._text("sys/class/dmi/id/sys_vendor") or ""
        return True if vendor.startswith(VIRTUAL_VENDORS) else None

    def _cpu_quota(self) -> int | None:
        """Whole processors that the control group grants, as a container sees it."""
        words = (self._text("sys/fs/cgroup/cpu.max") or "").split()
        if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal():
            quota, period = int(words[0]), int(words[1])
        else:
            quota = self._number("sys/fs/cgroup/cpu/cpu.cfs_quota_us") or 0
            period = self._number("sys/fs/cgroup/cpu/cpu.cfs_period_us") or 0
        return math.ceil(quota / period) if quota > 0 and period > 0 else None

    def _memory_limit(self) -> int | None:
        return self._number("sys/fs/cgroup/memory.max") or self._number(
            "sys/fs/cgroup/memory/memory.limit_in_bytes"
        )

    def _reclaimable(self) -> int:
        """Bytes of files that the group has read and that go as soon as memory is needed.

        They count as used: a model that was just hashed would seem to fill the memory.
        """
        for path, key in (
            ("sys/fs/cgroup/memory.stat", "inactive_file"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
        ):
            for line in (self._text(path) or "").splitlines():
                name, _, value = line.partition(" ")
                if name == key and value.isdecimal():
                    return int(value)
        return 0

    def _cpuinfo(self, key: str) -> str | None:
        for line in (self._text("proc/cpuinfo") or "").splitlines():
            name, colon, value = line.partition(":")
            if colon and name.strip() == key:
                return value.strip() or None
        return None

    def _number(self, path: str) -> int | None:
        text = self._text(path)
        return int(text) if text is not None and text.isdecimal() else None

    def _text(self, path: str) -> str | None:
        """The stripped text of a file, or None where there is none to read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None


def _cache_size(text: str | None) -> int | None:
    """'107520K' in bytes."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    if not text or text[-1] not in units or not text[:-1].isdecimal():
        return None
    return int(text[:-1]) * units[text[-1]]
