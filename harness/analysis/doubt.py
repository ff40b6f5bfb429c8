"""What makes a single sample doubtful. Marks only: a marked sample stays in every figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import Enum

from harness.records import Sample

BUSY_CORES = 0.3
"""CPU seconds a second of everything but the runner, above which the machine was not quiet."""
EARLY_STOP_TOKENS = 8
CLOCKS_APART = 0.1
"""Share by which the client's time of decoding may differ from the runner's own. On quiet machines
they agree within 0.01, up to a thousand tokens a second."""


class Mark(Enum):
    """A reason for doubt; the value is how a note says it."""

    CACHED = "prompt partly from a cache"
    BUSY = f"other programs took more than {BUSY_CORES} cores"
    CLOCKS = f"the client's and the runner's time of decoding are over {CLOCKS_APART:.0%} apart"
    EARLY_STOP = f"answer shorter than {EARLY_STOP_TOKENS} tokens"


def marks(sample: Sample) -> tuple[Mark, ...]:
    """Every reason for doubt in one successful sample; what is not exposed raises none."""
    found = []
    if sample.cached_tokens:
        found.append(Mark.CACHED)
    if (
        sample.machine_cpu_s is not None
        and sample.runner_cpu_s is not None
        and sample.machine_cpu_s - sample.runner_cpu_s > BUSY_CORES * sample.wall_s
    ):
        found.append(Mark.BUSY)
    # 0 seconds of several bursts: they waited to be read, and were read all at once.
    if (
        sample.decode_s is not None
        and (sample.decode_s > 0 or len(sample.bursts) > 1)
        and sample.runner_decode_s
        and abs(sample.decode_s / sample.runner_decode_s - 1) > CLOCKS_APART
    ):
        found.append(Mark.CLOCKS)
    if sample.output_tokens is not None and sample.output_tokens < EARLY_STOP_TOKENS:
        found.append(Mark.EARLY_STOP)
    return tuple(found)


def count_marks(samples: Iterable[Sample]) -> dict[Mark, int]:
    """In how many of the samples each reason for doubt is found, in the order of `Mark`."""
    counts = Counter(mark for sample in samples for mark in marks(sample))
    return {mark: counts[mark] for mark in Mark if counts[mark]}
