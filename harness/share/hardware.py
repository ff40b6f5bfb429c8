"""What a row says of the machine: the GPU where the runner computes on one, else the processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.ceilings import on_processor
from harness.machine.gpu import Gpu
from harness.report import numbers
from harness.share.shared_run import Figures

NOT_TOLD = "not known"


def used_gpus(figures: Figures) -> Sequence[Gpu]:
    """The GPUs that the runner may compute on; none for one that has but the processor."""
    manifest = figures.manifest
    return () if on_processor(manifest, figures.plain) else manifest.machine.gpus


def processor_words(figures: Figures) -> str:
    """'2 × NVIDIA H100', 'Apple M4 Max GPU', 'Intel Xeon (2 cores)'."""
    if figures.plain.as_served:
        return NOT_TOLD
    gpus = Counter(gpu.name for gpu in used_gpus(figures))
    if gpus:
        return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in gpus.items())
    machine = figures.manifest.machine
    return f"{machine.cpu} ({numbers.counted(machine.cores, 'core')})"


def memory_words(figures: Figures) -> str:
    """Of all GPUs together, or of the machine: '85.52 GB'."""
    if figures.plain.as_served:
        return NOT_TOLD
    gpus = used_gpus(figures)
    if not gpus:
        return numbers.size(figures.manifest.machine.memory_bytes)
    sizes = [gpu.memory_bytes for gpu in gpus]
    told = [size for size in sizes if size is not None]
    return numbers.size(sum(told)) if len(told) == len(sizes) else NOT_TOLD
