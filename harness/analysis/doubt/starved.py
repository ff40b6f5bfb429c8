"""The runner got less of the processor than in the other samples of its trial."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.analysis.doubt.mark import Figure, Mark
from harness.measured import SampleKind

MARK = Mark(
    "starved",
    "the runner got less of the processor than in its other samples",
    frozenset({Figure.RATE, Figure.TTFT}),
    "Stop other programs, and give the runner no more threads than the machine has.",
)

LEAST_SHARE = 0.8
"""Of the median. A runner that computes keeps all of its threads busy, whatever it answers; what a
fifth less of them costs is more than any setting should gain or lose unseen."""
LEAST_SAMPLES = 4
"""Of fewer, the median is no measure of the rest."""
TICK_S = 0.01
"""The clock of a process counts in these, once before and once after the request."""


def starved(samples: Sequence[SampleKind]) -> list[SampleKind]:
    """Those of one trial, of a runner that computes on the processor."""
    told = [(s, s.runner_cpu_s) for s in samples if s.runner_cpu_s is not None and s.wall_s > 0]
    if len(told) < LEAST_SAMPLES:
        return []
    usual = statistics.median(cpu_s / sample.wall_s for sample, cpu_s in told)
    return [
        sample for sample, cpu_s in told if cpu_s + 2 * TICK_S < LEAST_SHARE * usual * sample.wall_s
    ]
