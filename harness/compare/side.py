"""One side of a comparison: a run, or some arms of one, read trial by trial without its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.doubt.judge import SampleKey
from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Arm, Manifest, Sample


@dataclass(frozen=True)
class SideTrial:
    """One arm on one workload at one `max_tokens`."""

    arm: Arm
    setting: str
    """What tables call the arm; unique in its run."""
    workload: str
    max_tokens: int
    samples: tuple[Sample, ...]
    """Those that succeeded, in the order in which they were measured, without their answers: no
    text, tokens or bursts."""
    failed: int
    """Requests that failed."""
    failure: str | None
    """Why there is no sample; None where there is one."""
    doubts: Mapping[SampleKey, tuple[Mark, ...]]
    """Only of samples that have any."""

    def sound(self, figure: Figure) -> tuple[Sample, ...]:
        """The samples whose `figure` no doubt spoils."""
        return tuple(sample for sample in self.samples if not self.spoiled(sample, figure))

    def spoiled(self, sample: Sample, figure: Figure) -> bool:
        """Whether a doubt leaves the sample out of this figure."""
        return any(figure in mark.spoils for mark in self.doubts.get(sample.key, ()))


@dataclass(frozen=True)
class Side:
    """A run, or those of its arms that were named."""

    name: str
    """As given: 'runs/today', 'runs/today:vllm'."""
    folder: Path
    manifest: Manifest
    trials: tuple[SideTrial, ...]
    remarks: tuple[str, ...] = ()
    """What there is to say of the run as a whole: drift, requests that were not measured, a
    half-written line that was left out."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of this side, each once."""
        return tuple({trial.arm.id: trial.arm for trial in self.trials}.values())


def read_sides(baseline: str, candidate: str | None) -> tuple[Side, Side]:
    """Read two sides, each a folder or FOLDER:NAME, where NAME is a runner, an arm or a method.

    Without `candidate`, `baseline` is the folder of a run whose runners are named 'baseline' and
    'candidate'.

    Raises:
        CompareError: no such name, or both sides have an arm in common.
        RunFolderError: no run, or a damaged one.
    """
    raise NotImplementedError
