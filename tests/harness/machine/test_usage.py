from __future__ import annotations

import os
import resource
import sys
import time

import pytest

from harness.machine import usage
from harness.machine.usage import read_usage


def test_a_process_that_computes_has_spent_what_the_machine_has() -> None:
    before = read_usage(os.getpid())
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    spent = read_usage(os.getpid()).since(before)
    assert spent.runner_cpu_s >= 0.25
    # The machine's clock is cut off at ticks, in each of its states.
    assert spent.machine_cpu_s >= spent.runner_cpu_s - 0.1
    assert spent.machine_idle_s >= 0
    assert spent.runner_peak_memory > 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts faults for a process")
def test_faults_are_those_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_usage(os.getpid())
    assert before.runner_major_faults is not None
    spent = read_usage(os.getpid()).since(before)
    assert spent.runner_major_faults is not None
    assert spent.runner_major_faults >= 0

    own = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    assert usage._major_faults(os.getpid()) == [own]
    line = "7 (a (hostile) name) S " + " ".join(str(number) for number in range(1, 50))
    monkeypatch.setattr(usage.Path, "read_text", lambda *_args, **_kwargs: line)
    assert usage._major_faults(7) == [9]
    monkeypatch.setattr(usage.Path, "read_text", lambda *_args, **_kwargs: "7 (short) S 1")
    assert usage._major_faults(7) == []


def test_a_process_that_is_gone_has_spent_nothing() -> None:
    gone = read_usage(2**22 + 1)
    assert gone.runner_cpu_s == 0
    assert gone.runner_major_faults is None
    assert gone.since(read_usage(os.getpid())).runner_major_faults is None
