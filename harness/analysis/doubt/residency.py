"""The weights were not all in memory, so that steps waited for the disk."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MARK = Mark(
    "residency",
    "the weights were not all in memory",
    frozenset({Figure.RATE, Figure.TTFT, Figure.MEMORY}),
    "Use a smaller model or machine with more memory, or stop programs that take it.",
)

FAULT_S = 5e-5
"""What reading a page costs at least: on a cloud machine 48 µs. Of a slower disk it is more, and
the doubt comes later than it should."""
MOST_WAITING = 0.05
"""Share of a request that its page faults may explain."""
LEAST_RESIDENT = 0.9
"""Of the bytes that each token reads. A table of embeddings, of which it reads a row, is not among
them, nor is an expert that it does not use."""


def is_spilled(sample: Sample, weights: float | None) -> bool:
    """`weights`: bytes that each token reads from a file that is mapped into memory; None where
    the runner does not map it, or computes elsewhere."""
    if sample.runner_major_faults is not None:
        waited = sample.runner_major_faults * FAULT_S
        if waited > MOST_WAITING * sample.wall_s:
            return True
    if weights is None or sample.runner_peak_memory is None:
        return False
    return sample.runner_peak_memory < LEAST_RESIDENT * weights
