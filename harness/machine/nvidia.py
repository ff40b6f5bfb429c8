"""NVIDIA GPUs through NVML (`pynvml`, of the package nvidia-ml-py), if it is installed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Protocol, TypeVar

from harness.machine.cards import card_of_device
from harness.machine.gpu import Gpu

T = TypeVar("T")

SOURCE = "NVML: memory clock x bus width x 2"
TABLE = "published figure, by its name"


class _MemoryInfo(Protocol):
    total: int


class Nvml(Protocol):
    """The part of pynvml that is used here. Every call may raise NVMLError."""

    NVML_CLOCK_MEM: int

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlSystemGetDriverVersion(self) -> str | bytes: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...  # noqa: N802
    def nvmlDeviceGetName(self, device: object) -> str | bytes: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, device: object) -> _MemoryInfo: ...  # noqa: N802
    def nvmlDeviceGetMaxClockInfo(self, device: object, clock: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetMemoryBusWidth(self, device: object) -> int: ...  # noqa: N802


def load_nvml() -> Nvml | None:
    """The module, or None where it is missing or broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old package of the same name warns on import
            module: Nvml = importlib.import_module("pynvml")
    except Exception:
        return None
    return module


def read_gpus(nvml: Nvml | None) -> tuple[Gpu, ...]:
    """Every GPU that NVML lists; none where it fails. A reading that fails is None."""
    if nvml is None:
        return ()
    try:
        nvml.nvmlInit()
    except Exception:
        return ()
    try:
        driver = _reading(nvml.nvmlSystemGetDriverVersion)
        return tuple(
            _read_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index), _text(driver))
            for index in range(nvml.nvmlDeviceGetCount())
        )
    except Exception:
        return ()
    finally:
        _reading(nvml.nvmlShutdown)


def _read_gpu(nvml: Nvml, device: object, driver: str | None) -> Gpu:
    memory = _reading(lambda: nvml.nvmlDeviceGetMemoryInfo(device).total)
    clock_mhz = _reading(lambda: nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_MEM))
    bus_bits = _reading(lambda: nvml.nvmlDeviceGetMemoryBusWidth(device))
    # Two transfers a clock, as NVML counts clocks: 9751 MHz x 384 bits is the 936 GB/s that
    # NVIDIA publishes for an RTX 3090, 1593 MHz x 5120 bits the 2039 GB/s of an H100 PCIe.
    bandwidth = clock_mhz * 1e6 * bus_bits * 2 / 8 if clock_mhz and bus_bits else None
    source = SOURCE if bandwidth else None
    name = _text(_reading(lambda: nvml.nvmlDeviceGetName(device))) or "NVIDIA GPU"
    card = None if bandwidth else card_of_device(name, memory)
    if card is not None:
        bandwidth, source = card.bytes_per_s, TABLE
    return Gpu(
        name=name,
        memory_bytes=memory,
        bandwidth_bytes_per_s=bandwidth,
        bandwidth_source=source,
        driver=driver,
    )


def _reading(read: Callable[[], T]) -> T | None:
    """None where this driver or GPU does not support the reading."""
    try:
        return read()
    except Exception:
        return None


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
