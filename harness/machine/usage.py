"""CPU time and memory of a runner's processes and of the whole machine, read around a request."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """One reading, or the difference of two. CPU seconds are those of all cores together."""

    machine_cpu_s: float
    runner_cpu_s: float
    runner_peak_memory: int
    """Bytes resident at most so far, over all processes of the runner."""

    def since(self, before: Usage) -> Usage:
        """CPU seconds spent since `before`; the memory stays a peak."""
        return replace(
            self,
            machine_cpu_s=self.machine_cpu_s - before.machine_cpu_s,
            runner_cpu_s=self.runner_cpu_s - before.runner_cpu_s,
        )


def read_usage(pid: int) -> Usage:
    """Read the process tree under `pid`; a process that has gone counts as nothing."""
    times = psutil.cpu_times()
    # Time given to guests is part of user time already.
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0)
    busy -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    cpu_s, memory = 0.0, 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        processes = []
    for process in processes:
        try:
            own = process.cpu_times()
            cpu_s += own.user + own.system
            memory += _peak_memory(process)
        except psutil.Error:
            continue
    return Usage(machine_cpu_s=busy, runner_cpu_s=cpu_s, runner_peak_memory=memory)


def _peak_memory(process: psutil.Process) -> int:
    """The kernel's own high-water mark on Linux; elsewhere what is resident now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        status = ""
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else int(process.memory_info().rss)
