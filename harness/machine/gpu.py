"""One accelerator of the machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Gpu(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    memory_bytes: int | None
    """Of its own, or all of the machine's where the two are shared."""
    bandwidth_bytes_per_s: float | None
    """Nominal. None where nobody says."""
    bandwidth_source: str | None = None
    """Where the bandwidth comes from, in words."""
    driver: str | None = None
