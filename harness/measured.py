"""What the figures of a trial are made of: samples, whole ones or bare ones.

A bare sample has no answer, no times of single tokens and nothing that only a doubt is made of. It
takes a small part of the memory, and a comparison holds hundreds of thousands.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Literal, NamedTuple, TypeVar

from harness.records import Sample, SampleKey


class BareSample(NamedTuple):
    """Fields of a `Sample`, which says what they are."""

    arm: str
    round: int
    workload: str
    prompt: str
    max_tokens: int
    sequence: int
    status: Literal["ok", "failed"]
    reason: str | None
    output_tokens: int | None
    wall_s: float
    ttft_s: float | None
    first_burst_tokens: int | None
    first_burst_at_most: int | None
    decode_rate: float | None
    drafted: int | None
    accepted: int | None
    steps: int | None
    accepted_per_position: tuple[int, ...] | None
    text_sha256: str | None
    runner_cpu_s: float | None
    runner_peak_memory: int | None

    @property
    def key(self) -> SampleKey:
        return (self.round, self.arm, self.workload, self.prompt, self.max_tokens)


AnySample = Sample | BareSample
"""For what looks at no more than a bare one has."""
SampleKind = TypeVar("SampleKind", bound=AnySample)

_VALUES = attrgetter(*BareSample._fields)


def bare(sample: Sample) -> BareSample:
    """What is left of a sample once it was judged."""
    return BareSample._make(_VALUES(sample))
