from __future__ import annotations

import numpy as np
import pytest

from harness.machine import bandwidth
from harness.machine.bandwidth import (
    BLOCK,
    LARGEST,
    MIB,
    SMALLEST,
    BandwidthError,
    buffer_size,
    measure_read_bandwidth,
)
from harness.machine.system import System
from harness.machine.this_system import this_system


def test_the_buffer_is_far_larger_than_the_caches_within_bounds() -> None:
    assert buffer_size(105 * MIB, 64 << 30) == 840 * MIB
    assert buffer_size(None, 64 << 30) == SMALLEST
    assert buffer_size(8 << 30, 64 << 30) == LARGEST
    assert buffer_size(105 * MIB, 1 << 30) == 256 * MIB


def test_a_measurement_is_the_best_of_its_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "SMALLEST", 64 * MIB)
    monkeypatch.setattr(bandwidth, "CACHES", 0)
    monkeypatch.setattr(bandwidth, "PASS_S", 0.02)
    measured = measure_read_bandwidth()
    assert measured.bytes_per_s == max(measured.readings)
    assert len(measured.readings) == bandwidth.PASSES
    assert measured.threads == this_system().physical_cores()
    assert measured.buffer_bytes % (measured.threads * BLOCK) == 0
    # From a slow board to a large server: 0.2 GB/s to 10 TB/s.
    assert 2e8 < measured.bytes_per_s < 1e13


def test_every_thread_fills_a_slice_of_its_own() -> None:
    slices: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
    for _ in range(3):
        bandwidth._fill(slices, 4 * 4096)
    bases = {data.__array_interface__["data"][0] for data in slices}
    assert len(bases) == 3
    assert all(data.nbytes == 4 * 4096 and data.min() == data.max() == 1 for data in slices)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "available_memory_bytes", lambda _: MIB)
    monkeypatch.setattr(bandwidth, "this_system", System)
    with pytest.raises(BandwidthError, match="too little free memory"):
        measure_read_bandwidth()


def test_threads_that_cannot_start_are_an_error_and_leave_none_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import threading

    monkeypatch.setattr(bandwidth, "SMALLEST", 64 * MIB)
    monkeypatch.setattr(bandwidth, "CACHES", 0)
    monkeypatch.setattr(System, "physical_cores", lambda _: 2)
    monkeypatch.setattr(bandwidth, "this_system", System)
    before = threading.active_count()
    started = 0
    start = threading.Thread.start

    def third_fails(thread: threading.Thread) -> None:
        nonlocal started
        started += 1
        if started == 4:  # two filled; of the readers the second fails
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", third_fails)
    with pytest.raises(BandwidthError, match="can't start new thread"):
        measure_read_bandwidth()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(timeout=5)
    assert threading.active_count() <= before
