"""How fast this machine reads memory: the ceiling under every decode rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from harness.machine.this_system import this_system

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIB = 1 << 20

PASSES = 5
PASS_S = 0.15
CACHES = 8
"""The buffer is this many times the last-level caches: what stays cached is then below 1/8."""
SMALLEST = 512 * MIB
LARGEST = 4096 * MIB
BLOCK = 8 * MIB
"""Read by one numpy call: long enough to hide Python (below 0.1 % of the time), short enough
that the threads stop together at the end of a pass."""


class Bandwidth(BaseModel):
    """A measured read bandwidth. `bytes_per_s` is the best of `readings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes_per_s: float
    readings: tuple[float, ...]
    threads: int
    buffer_bytes: int
    """Read round and round, over all threads: far larger than the caches where memory allows."""


class BandwidthError(Exception):
    """The bandwidth could not be measured here; the text says why."""


def measure_read_bandwidth() -> Bandwidth:
    """Read a buffer far larger than the caches with every physical core, best of several.

    Each thread fills and then reads a slice of its own (so that on a machine with several memory
    nodes it lies near the thread). A pass is a fixed time in which all threads read at once, and
    its reading is all the bytes they read over that time: a slow efficiency core then adds what
    it can and holds up nobody. Takes about a second and at most a quarter of the free memory.

    Returns:
        Bytes per second.

    Raises:
        BandwidthError: there is too little free memory, or no thread could be started.
    """
    here = this_system()
    threads = here.physical_cores()
    size = buffer_size(here.last_level_cache_bytes(), here.available_memory_bytes())
    slice_bytes = size // threads // BLOCK * BLOCK
    if slice_bytes == 0:
        raise BandwidthError(
            f"too little free memory to measure the bandwidth with {threads} threads"
        )
    try:
        readings = _measure(threads, slice_bytes)
    except (MemoryError, RuntimeError) as error:
        raise BandwidthError(f"the bandwidth could not be measured: {error}") from error
    return Bandwidth(
        bytes_per_s=max(readings),
        readings=tuple(readings),
        threads=threads,
        buffer_bytes=slice_bytes * threads,
    )


def buffer_size(cache_bytes: int | None, available_bytes: int) -> int:
    """Bytes to read: `CACHES` times the caches within bounds, at most a quarter of what is free."""
    wanted = max(SMALLEST, CACHES * (cache_bytes or 0))
    return min(wanted, LARGEST, available_bytes // 4)


def _measure(threads: int, slice_bytes: int) -> list[float]:
    """One reading (bytes/s) for each pass."""
    slices: list[NDArray[np.int32]] = []
    fill = [threading.Thread(target=_fill, args=(slices, slice_bytes)) for _ in range(threads)]
    _run(fill)
    if len(slices) < threads:
        raise MemoryError(f"{threads} x {slice_bytes // MIB} MiB are not free")

    readings = []
    for _ in range(PASSES):
        start = threading.Barrier(threads)
        rates: list[float] = []
        try:
            _run([threading.Thread(target=_read, args=(data, start, rates)) for data in slices])
        except RuntimeError:
            start.abort()  # lets go the threads that did start
            raise
        if len(rates) < threads:
            raise RuntimeError("a reading thread failed")
        readings.append(sum(rates))
    return readings


def _fill(slices: list[NDArray[np.int32]], slice_bytes: int) -> None:
    import numpy as np  # noqa: PLC0415

    try:
        data = np.empty(slice_bytes // 4, dtype=np.int32)
    except MemoryError:
        return  # seen by the caller, who counts the slices
    # Written, not zero-allocated: untouched pages would all be one page, which stays cached.
    data.fill(1)
    slices.append(data)


def _read(data: NDArray[np.int32], start: threading.Barrier, rates: list[float]) -> None:
    """Read `data` round and round for `PASS_S`; add the rate in bytes/s to `rates`."""
    import numpy as np  # noqa: PLC0415

    # The maximum of int32 is numpy's cheapest look at every byte. Best and median of 5 passes
    # over 1 GiB on 2 cores, in GB/s, and in one core's 2 MiB L2 for what the arithmetic allows:
    #   max i32 18.4 16.9 (57)   max u8 19.7 17.8 (55)   max u64 18.3 17.2 (56)
    #   dot f32 16.8 15.5 (40)   sum u64 15.5 13.7 (38)  or  u64 14.0 13.2 (40)
    # AVX-512 loads in C read the same memory at 19.2-20.5, and one thread alone at half of it:
    # so the reading threads wait for memory and not for numpy, and do not wait for each other.
    # Of the three equal ones int32 is taken, since every processor's vector unit compares it.
    read: Callable[[NDArray[np.int32]], np.int32] = np.maximum.reduce
    block = BLOCK // data.itemsize
    begin, size, done = 0, len(data), 0
    try:
        start.wait()
    except threading.BrokenBarrierError:
        return
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < PASS_S:
        read(data[begin : begin + block])
        done += block
        begin = (begin + block) % size
    rates.append(done * data.itemsize / elapsed)


def _run(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
