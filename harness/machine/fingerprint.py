"""Which machine this is, as far as it matters to a decode rate."""

from __future__ import annotations

import platform

from pydantic import BaseModel, ConfigDict

from harness.machine.bandwidth import Bandwidth
from harness.machine.gpu import Gpu
from harness.machine.hardware import apple_bandwidth
from harness.machine.nvidia import load_nvml, read_gpus
from harness.machine.system import System
from harness.machine.this_system import this_system

__all__ = ["Gpu", "Machine", "read_machine"]


class Machine(BaseModel):
    """One machine. Holds no host name, user name or path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    """'Linux 6.1 x86_64'"""
    python: str
    cpu: str
    cores: int
    """Physical cores, and `threads` the logical ones, that this process may use."""
    threads: int
    last_level_cache_bytes: int | None
    """All sockets and clusters together."""
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    virtual: bool | None = None
    bandwidth: Bandwidth | None = None


def read_machine() -> Machine:
    """Describe this machine; does not measure the bandwidth (see `bandwidth`)."""
    here = this_system()
    return Machine(
        system=here.name(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu=here.cpu(),
        cores=here.physical_cores(),
        threads=here.threads(),
        last_level_cache_bytes=here.last_level_cache_bytes(),
        memory_bytes=here.memory_bytes(),
        gpus=(*apple_gpu(here), *read_gpus(load_nvml())),
        virtual=here.is_virtual(),
    )


def apple_gpu(here: System) -> tuple[Gpu, ...]:
    """The GPU of an Apple chip, which shares the machine's memory; nothing on other machines."""
    chip = here.cpu()
    if not chip.startswith("Apple M"):
        return ()
    bandwidth = apple_bandwidth(chip, here.apple_gpu_cores())
    return (
        Gpu(
            name=f"{chip} GPU",
            memory_bytes=here.memory_bytes(),
            bandwidth_bytes_per_s=bandwidth,
            bandwidth_source=None if bandwidth is None else "Apple's published figure",
        ),
    )
