"""The bandwidths that are known for hardware, this machine's or any other, and which one counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from harness.machine.bandwidth import BandwidthError, measure_read_bandwidth
from harness.machine.cards import UnknownCardError, find_card
from harness.machine.fingerprint import Machine, read_machine
from harness.machine.gpu import Gpu

UNNAMED = "as given"
"""Hardware of which only a bandwidth was given."""


class BandwidthsError(Exception):
    """No bandwidth is known; the text says what to give."""


class Source(BaseModel):
    """One bandwidth that is known for the hardware."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: str
    kind: str
    """'measured', 'nominal' or 'given'."""
    bytes_per_s: float
    origin: str | None = None
    """Where the figure comes from."""
    used: bool = False


@dataclass(frozen=True)
class Memory:
    """The memory that weights are read from."""

    sources: tuple[Source, ...]
    """Exactly one of them is used."""
    cache_bytes: int | None = None
    """The last cache before it; None where it is not known."""
    total_bytes: float | None = None

    @property
    def used(self) -> Source:
        return next(source for source in self.sources if source.used)


def memory_of(hardware: str | None, bandwidth: float | None) -> Memory:
    """The memory of that hardware; this machine's, measured, where nothing is given.

    A `bandwidth` (bytes/s) goes before the hardware's nominal one.

    Raises:
        BandwidthsError: unknown hardware, a senseless bandwidth, or nothing could be measured.
    """
    if hardware is None and bandwidth is None:
        return _memory_here(read_machine())
    sources: list[Source] = []
    total = None
    if hardware is not None:
        try:
            card = find_card(hardware)
        except UnknownCardError as error:
            raise BandwidthsError(f"--hardware: {error}") from error
        total = card.memory_bytes
        sources.append(
            Source(
                hardware=card.name,
                kind="nominal",
                bytes_per_s=card.bytes_per_s,
                origin=card.source,
                used=bandwidth is None,
            )
        )
    if bandwidth is not None:
        if not (math.isfinite(bandwidth) and bandwidth > 0):
            raise BandwidthsError(f"--bandwidth: it is above 0, not {bandwidth}")
        given = Source(
            hardware=sources[0].hardware if sources else UNNAMED,
            kind="given",
            bytes_per_s=bandwidth,
            origin="--bandwidth",
            used=True,
        )
        sources.insert(0, given)
    return Memory(tuple(sources), total_bytes=total)


def _memory_here(machine: Machine) -> Memory:
    """This machine's: that of its fastest GPU whose bandwidth is known, else the processor's."""
    gpus = [gpu for gpu in machine.gpus if gpu.bandwidth_bytes_per_s]
    fastest = max(gpus, key=lambda gpu: gpu.bandwidth_bytes_per_s or 0, default=None)
    sources = [_nominal(gpu, used=gpu is fastest) for gpu in gpus]
    try:
        measured = measure_read_bandwidth()
    except BandwidthError as error:
        if fastest is None:
            raise BandwidthsError(f"{error}; give one with --bandwidth or --hardware") from error
    else:
        origin = f"read by {measured.threads} threads, best of {len(measured.readings)}"
        sources.append(
            Source(
                hardware=machine.cpu,
                kind="measured",
                bytes_per_s=measured.bytes_per_s,
                origin=origin,
                used=fastest is None,
            )
        )
    if fastest is not None:
        return Memory(tuple(sources), total_bytes=fastest.memory_bytes)
    return Memory(tuple(sources), machine.last_level_cache_bytes, machine.memory_bytes)


def _nominal(gpu: Gpu, *, used: bool) -> Source:
    return Source(
        hardware=gpu.name,
        kind="nominal",
        bytes_per_s=gpu.bandwidth_bytes_per_s or 0,
        origin=gpu.bandwidth_source,
        used=used,
    )
