"""Other programs used the processor that the runner needed."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MARK = Mark(
    "busy",
    "other programs used the processor",
    frozenset({Figure.RATE, Figure.TTFT}),
    "Stop other programs, or measure on a machine of its own.",
)

OTHERS_CORES = 0.5
"""CPU seconds a second of everything but the runner that are not noise: this tool itself and the
clock's ticks come to 0.3 over short answers."""
IDLE_CORES = 0.25
"""Idle CPU seconds a second above which there was a processor for everybody."""
TICK_S = 0.01
"""The clock of a processor's times counts in these; every processor has one that is cut off."""


def is_busy(sample: Sample, threads: int) -> bool:
    """Others worked while no processor was left for them. Time that a hypervisor gave away counts
    as others'. `threads`: logical processors of the machine, of which all that did nothing was
    idle, where the sample does not tell."""
    if sample.machine_cpu_s is None or sample.runner_cpu_s is None:
        return False
    others = sample.machine_cpu_s - sample.runner_cpu_s
    if others <= OTHERS_CORES * sample.wall_s + TICK_S * threads:
        return False
    idle = sample.machine_idle_s
    if idle is None:
        idle = threads * sample.wall_s - sample.machine_cpu_s
    return idle < IDLE_CORES * sample.wall_s
