"""What a prediction is asked and what it tells: data, for the views."""

from __future__ import annotations

from dataclasses import dataclass

from harness.prediction.costs import Cost
from harness.prediction.families import Held
from harness.prediction.kinds import Kind
from harness.prediction.shares import Share
from harness.prediction.speedups import Lengthwise, Range


@dataclass(frozen=True)
class Question:
    """What `bench predict` is asked, beside the run. Without hardware and bandwidth: how well the
    run's own machine would have been predicted."""

    hardware: str | None = None
    bandwidth: float | None = None
    """Bytes/s; goes before the hardware's nominal one."""
    verify_cost: float | None = None
    """Of each row more, in plain steps."""
    draft_cost: float | None = None
    """Of each drafted token, in plain steps."""

    @property
    def is_check(self) -> bool:
        return self.hardware is None and self.bandwidth is None


@dataclass(frozen=True)
class Target:
    """The hardware that is predicted for."""

    name: str
    kind: Kind
    bandwidth: float
    """Bytes/s."""
    origin: str
    memory_bytes: float | None
    share: Share


@dataclass(frozen=True)
class Measured:
    """What the run itself found at a place that is predicted."""

    rate: Range | None
    """The median, with its interval where there is one."""
    speedup: Range | None
    """None for plain."""


@dataclass(frozen=True)
class Setting:
    """One draft length."""

    figures: Lengthwise
    rate: Range
    """tok/s"""
    ceiling: float
    measured: Measured | None
    """In a check, where this length was measured."""

    @property
    def draft_tokens(self) -> int:
        return self.figures.draft_tokens


@dataclass(frozen=True)
class Outlook:
    """One family of settings on one workload."""

    name: str
    settings: tuple[Setting, ...]
    """By draft length, from 1 on; none where they are not known."""
    unknown: str | None
    held: tuple[Held, ...]
    prompts: int
    rounds: int
    costs: tuple[Cost, ...]
    best: int = 0
    """The draft length with the highest speed-up; 0: plain."""
    could_be_best: tuple[int, int] = (0, 0)
    """The shortest and the longest draft that is best somewhere within the error bars; 0: plain."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkloadOutlook:
    """One workload of one plain arm."""

    workload: str
    max_tokens: int
    plain: str
    """What tables call the plain arm."""
    model: str
    depth: float | None
    target: Target
    ceiling: float | None
    rate: Range | None
    """Of plain, tok/s; None with a reason."""
    unknown: str | None
    measured: Measured | None
    outlooks: tuple[Outlook, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """All that `bench predict` tells."""

    question: Question
    measured_on: str
    workloads: tuple[WorkloadOutlook, ...]
    notes: tuple[str, ...]
