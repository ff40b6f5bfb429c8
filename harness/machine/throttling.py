"""Whether processors and GPUs hold their clocks back, as the kernel and NVML tell it.

Read around every request, so which files there are, and which GPUs, is looked up once. A reading of
64 cores takes 1.3 ms. macOS tells neither to programs without root's rights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, cast

from harness.machine.nvidia import load_nvml

T = TypeVar("T")

IDLE = 0x1
REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "heat, by software",
    0x40: "heat, by hardware",
    0x80: "power brake",
}
"""NVML's bits for clocks that are held back (nvmlClocksEventReasons). Others are what somebody
asked for: clocks that were set, or a GPU with nothing to do."""


@dataclass(frozen=True)
class Throttling:
    """One reading, or what two of them say together. None: not told."""

    cpu_events: int | None = None
    """How often a processor has become too hot: a count that only grows, or its difference."""
    gpu_reasons: tuple[str, ...] | None = None
    """Why GPUs at work held their clocks back."""
    gpu_clock_mhz: int | None = None
    """Of the slowest GPU at work."""
    gpu_temperature_c: int | None = None
    """Of the hottest GPU."""

    def since(self, before: Throttling) -> Throttling:
        """Events since `before`, and the reasons of both; clock and temperature are the later."""
        events, reasons = None, None
        if self.cpu_events is not None and before.cpu_events is not None:
            events = max(0, self.cpu_events - before.cpu_events)
        if self.gpu_reasons is not None and before.gpu_reasons is not None:
            reasons = tuple(sorted({*self.gpu_reasons, *before.gpu_reasons}))
        return replace(self, cpu_events=events, gpu_reasons=reasons)


class Clocks(Protocol):
    """The part of pynvml that is used here. Every call may raise NVMLError."""

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...  # noqa: N802
    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device: object) -> int: ...  # noqa: N802
    def nvmlDeviceGetClockInfo(self, device: object, clock: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetTemperature(self, device: object, sensor: int) -> int: ...  # noqa: N802


SM_CLOCK = 1
GPU_SENSOR = 0


class Thermometer:
    """What is there to be read on one machine; `root` is '/' and `nvml` the module but in tests."""

    def __init__(self, root: Path, nvml: Clocks | None) -> None:
        self._counts = _throttle_counts(root)
        self._nvml = nvml
        self._gpus = _gpus(nvml)

    def read(self) -> Throttling:
        """Never fails: what cannot be read is None."""
        found = Throttling(cpu_events=self._cpu_events())
        if self._nvml is None or not self._gpus:
            return found
        reasons, clocks = [], []
        heats = []
        for gpu in self._gpus:
            why, clock, heat = _read_gpu(self._nvml, gpu)
            if heat is not None:
                heats.append(heat)
            # One with nothing to do has slowed down by itself.
            if why is None or why & IDLE:
                continue
            reasons.append(why)
            if clock is not None:
                clocks.append(clock)
        names = {name for bit, name in REASONS.items() if any(why & bit for why in reasons)}
        return replace(
            found,
            gpu_reasons=tuple(sorted(names)) if reasons else None,
            gpu_clock_mhz=min(clocks, default=None),
            gpu_temperature_c=max(heats, default=None),
        )

    def _cpu_events(self) -> int | None:
        counts = [count for file in self._counts if (count := _number(file)) is not None]
        return sum(counts) if counts else None


def read_throttling() -> Throttling:
    """Read this machine."""
    return _here().read()


@functools.cache
def _here() -> Thermometer:
    return Thermometer(Path("/"), cast("Clocks | None", load_nvml()))


def _throttle_counts(root: Path) -> tuple[Path, ...]:
    """One file for each core and each package: all of its processors tell the same count."""
    found: dict[tuple[str, str], Path] = {}
    for cpu in sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*")):
        for what, shared in (("core", "thread_siblings_list"), ("package", "physical_package_id")):
            file = cpu / "thermal_throttle" / f"{what}_throttle_count"
            if _number(file) is not None:
                who = _attempt((cpu / "topology" / shared).read_text) or cpu.name
                found.setdefault((what, who.strip()), file)
    return tuple(found.values())


def _number(file: Path) -> int | None:
    text = _attempt(file.read_text)
    return int(text) if text is not None and text.strip().isdecimal() else None


def _gpus(nvml: Clocks | None) -> tuple[object, ...]:
    """Of this process until it ends: opening NVML takes longer than a reading may."""
    if nvml is None:
        return ()

    def opened() -> tuple[object, ...]:
        nvml.nvmlInit()
        return tuple(map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount())))

    return _attempt(opened) or ()


def _read_gpu(nvml: Clocks, gpu: object) -> tuple[int | None, int | None, int | None]:
    """The bits of why its clocks are low, its SM clock in MHz, and degrees Celsius."""
    return (
        _attempt(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)),
        _attempt(lambda: nvml.nvmlDeviceGetClockInfo(gpu, SM_CLOCK)),
        _attempt(lambda: nvml.nvmlDeviceGetTemperature(gpu, GPU_SENSOR)),
    )


def _attempt(read: Callable[[], T]) -> T | None:
    """None where this machine, driver or GPU does not support the reading."""
    try:
        return read()
    except Exception:
        return None
