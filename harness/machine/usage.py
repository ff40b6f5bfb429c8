"""CPU time and memory of a runner's processes and of the whole machine, read around a request."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from harness.machine.throttling import Throttling, read_throttling

MAJOR_FAULTS = 9
"""Place of `majflt` in /proc/PID/stat, counted from the state that follows the name (proc(5))."""


@dataclass(frozen=True)
class Usage:
    """One reading, or the difference of two. CPU seconds are those of all cores together."""

    machine_cpu_s: float
    machine_idle_s: float
    """In which nothing ran, waiting for disks among them."""
    runner_cpu_s: float
    runner_peak_memory: int
    """Bytes resident at most so far, over all processes of the runner."""
    runner_major_faults: int | None
    """Pages that were waited for; None where the system does not count them for processes."""
    throttling: Throttling

    def since(self, before: Usage) -> Usage:
        """What was spent since `before`; the memory stays a peak."""
        faults = None
        if self.runner_major_faults is not None and before.runner_major_faults is not None:
            # A process that has ended takes its faults with it.
            faults = max(0, self.runner_major_faults - before.runner_major_faults)
        return replace(
            self,
            machine_cpu_s=self.machine_cpu_s - before.machine_cpu_s,
            machine_idle_s=self.machine_idle_s - before.machine_idle_s,
            runner_cpu_s=self.runner_cpu_s - before.runner_cpu_s,
            runner_major_faults=faults,
            throttling=self.throttling.since(before.throttling),
        )


def read_usage(pid: int) -> Usage:
    """Read the process tree under `pid`; a process that has gone counts as nothing."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Time given to guests is part of user time already.
    busy = sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    cpu_s, memory = 0.0, 0
    faults: list[int] = []
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
        faults += _major_faults(process.pid)
    return Usage(
        machine_cpu_s=busy,
        machine_idle_s=idle,
        runner_cpu_s=cpu_s,
        runner_peak_memory=memory,
        runner_major_faults=sum(faults) if faults else None,
        throttling=read_throttling(),
    )


def _peak_memory(process: psutil.Process) -> int:
    """The kernel's own high-water mark on Linux; elsewhere what is resident now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        status = ""
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else int(process.memory_info().rss)


def _major_faults(pid: int) -> list[int]:
    """Linux's count for a process; nothing elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # The name stands in brackets and may hold anything, brackets too.
    fields = stat.rpartition(")")[2].split()
    return [int(fields[MAJOR_FAULTS])] if len(fields) > MAJOR_FAULTS else []
