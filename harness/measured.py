"""What the figures of a trial are made of: samples, whole ones or bare ones.

A bare sample has no answer, no times of single tokens and nothing that only a doubt is made of. It
takes a fifteenth of the memory, and a comparison holds hundreds of thousands.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Literal, NamedTuple, Protocol, TypeVar

from harness.records import Sample, SampleKey


class Measured(Protocol):
    """The fields that both have; `Sample` says what they are."""

    @property
    def arm(self) -> str: ...
    @property
    def round(self) -> int: ...
    @property
    def workload(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def status(self) -> Literal["ok", "failed"]: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def ttft_s(self) -> float | None: ...
    @property
    def first_burst_tokens(self) -> int | None: ...
    @property
    def first_burst_at_most(self) -> int | None: ...
    @property
    def decode_rate(self) -> float | None: ...
    @property
    def drafted(self) -> int | None: ...
    @property
    def accepted(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def accepted_per_position(self) -> tuple[int, ...] | None: ...
    @property
    def text_sha256(self) -> str | None: ...
    @property
    def runner_cpu_s(self) -> float | None: ...
    @property
    def runner_peak_memory(self) -> int | None: ...
    @property
    def key(self) -> SampleKey: ...


AnySample = TypeVar("AnySample", bound=Measured)


class BareSample(NamedTuple):
    """The fields of `Measured`."""

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


_VALUES = itemgetter(*BareSample._fields)


def bare(sample: Sample) -> BareSample:
    """What is left of a sample once it was judged."""
    # The record's own dict: 21 attributes of it take as long as half of reading the line.
    return BareSample._make(_VALUES(sample.__dict__))
