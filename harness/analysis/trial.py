"""One row of a report, and the records that it is made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.ceilings import Ceiling
from harness.analysis.doubt.mark import Figure, Mark
from harness.analysis.doubt.sound import Sound, sound
from harness.analysis.lossless import Lossless
from harness.analysis.speculating import Speculating
from harness.analysis.statistics import Estimate, Interval
from harness.records import Arm, Launch, Sample, SampleKey

NOT_MEASURED = "not measured"
"""The failure of a trial that an interrupted run never came to."""


@dataclass(frozen=True)
class TrialSummary:
    """One arm on one workload at one `max_tokens`. None: not exposed, or nothing to make it of."""

    arm: Arm
    setting: str
    """What tables call the arm; unique in the run."""
    workload: str
    max_tokens: int
    ok: int
    """Samples that succeeded; the figures are made of these, but for doubtful ones."""
    failed: int
    failure: str | None
    """Why the trial has no figures; None for one that has."""
    decode_rate: Estimate | None
    """Median over the samples, tokens per second."""
    decode_bounds: Interval | None
    """Between which rates the median lies, where nobody tells how many tokens the first bursts
    held; None where that is told."""
    speedup: Estimate | None
    """Geometric mean of the ratios to the plain arm of the same baseline; None for plain, and as
    served."""
    speculating: Speculating
    tokens_per_burst: float | None
    """Mean tokens that arrived together after the first burst, where steps are not told of
    anything but plain decoding: a runner may send a step in parts, or several at once."""
    ttft_s: float | None
    """Median seconds to the first token."""
    cached: int
    """Of the samples that TTFT is made of, those whose prompt came partly from a cache: theirs is
    not that of a whole prefill, and is left out unless most are such."""
    prefill_rate: float | None
    """Median uncached prompt tokens per second, by the runner's clock."""
    peak_memory: int | None
    """Bytes, the largest of the samples."""
    lossless: Lossless
    """For a plain arm, or as served: its answers against its own of the round before."""
    ceiling: Ceiling
    ceiling_share: float | None
    """Decode rate / ceiling: 1 is all that the memory allows."""
    loops: int
    """Answers that end in a loop."""
    doubts: Mapping[str, int]
    """Name of a mark -> how many samples have it."""
    spoiled: int
    """Samples whose decode rate some doubt spoils."""
    left_out: tuple[SampleKey, ...]
    """Of these, the samples that the decode rate and the speed-up leave out: all or none."""
    doubtful: str | None
    """What spoiled so many samples, of the row or of its plain arm, that the decode rate or the
    speed-up is made of spoiled ones too; None where they are made of sound ones."""
    notes: tuple[str, ...]

    def sound(self, samples: Iterable[Sample]) -> list[Sample]:
        """Those of its `samples` that the decode rate and the speed-up are made of."""
        left_out = set(self.left_out)
        return [sample for sample in samples if sample.key not in left_out]


Place = tuple[str, str, int]
"""(arm, workload, max_tokens)"""


def by_place(samples: Iterable[Sample]) -> dict[Place, list[Sample]]:
    """The samples of each trial, in the order in which they were measured; of others none."""
    found: dict[Place, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.sequence):
        found[sample.arm, sample.workload, sample.max_tokens].append(sample)
    return found


@dataclass(frozen=True)
class Trial:
    """The records that one row is made of."""

    arm: Arm
    setting: str
    workload: str
    max_tokens: int
    samples: Sequence[Sample]
    plain: Sequence[Sample]
    launches: Sequence[Launch]
    drafts_elsewhere: bool
    """Some sample of the arm, perhaps on another workload, drafted something or does not tell."""
    marks: Mapping[SampleKey, tuple[Mark, ...]]
    """Of the samples, plain's too, that raise a doubt."""

    @property
    def ok(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.status == "ok"]

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.status == "failed"]

    @property
    def lost(self) -> list[Launch]:
        return [launch for launch in self.launches if launch.status == "failed"]

    def sound(self, figure: Figure) -> Sound[Sample]:
        """The samples that a figure is made of."""
        return sound(self.ok, self.marks, figure)

    def sound_plain(self, figure: Figure) -> Sound[Sample]:
        """Plain's samples that a figure is held against."""
        return sound([s for s in self.plain if s.status == "ok"], self.marks, figure)

    def counts(self) -> Counter[Mark]:
        """How many successful samples have each mark."""
        return Counter(mark for sample in self.ok for mark in self.marks.get(sample.key, ()))
