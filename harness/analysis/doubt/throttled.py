"""The GPU or the processor held its clock back."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MARK = Mark(
    "throttled",
    "the GPU or the processor held its clock back, for heat or power",
    frozenset({Figure.RATE, Figure.TTFT}),
    "Cool the machine, or lock its clocks where it can hold them.",
)


def is_throttled(sample: Sample) -> bool:
    """What NVML said around the request, or the kernel's counts of a processor that got too hot.
    macOS tells neither to programs without root's rights."""
    return bool(sample.gpu_throttled) or bool(sample.cpu_throttled)
