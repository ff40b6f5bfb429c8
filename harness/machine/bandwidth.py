"""How fast this machine reads memory: the ceiling under every decode rate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Bandwidth(BaseModel):
    """A measured read bandwidth. `bytes_per_s` is the best of `readings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes_per_s: float
    readings: tuple[float, ...]
    threads: int
    buffer_bytes: int
    """Read in each pass, over all threads: far larger than the caches where memory allows."""


def measure_read_bandwidth() -> Bandwidth:
    """Read a buffer far larger than the caches with every physical core, best of several."""
    raise NotImplementedError
