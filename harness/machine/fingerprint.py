"""Which machine this is, as far as it matters to a decode rate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from harness.machine.bandwidth import Bandwidth


class Gpu(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    memory_bytes: int | None
    bandwidth_bytes_per_s: float | None
    """Nominal: memory clock x bus width. None where the driver does not say."""
    driver: str | None = None


class Machine(BaseModel):
    """One machine. Holds no host name, user name or path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    """'Linux 6.1 x86_64'"""
    python: str
    cpu: str
    cores: int
    """Physical cores; `threads` are the logical ones this process may use."""
    threads: int
    last_level_cache_bytes: int | None
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    virtual: bool | None = None
    bandwidth: Bandwidth | None = None


def read_machine() -> Machine:
    """Describe this machine; does not measure the bandwidth (see `bandwidth`)."""
    raise NotImplementedError
