"""Holds every sample of a run against the rules of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from harness.analysis.ceilings import on_processor
from harness.analysis.doubt import (
    arrivals,
    busy,
    cached,
    clocks_apart,
    drift,
    early_end,
    loop,
    rejected,
    residency,
    retried,
    slots,
    starved,
    throttled,
)
from harness.analysis.doubt.mark import Figure, Mark
from harness.analysis.doubt.sound import Sound, sound
from harness.analysis.trial import by_place
from harness.measured import AnySample
from harness.records import Arm, Launch, Manifest, Sample, SampleKey, Session
from harness.run_folder import RunData

MARKS = (
    busy.MARK,
    starved.MARK,
    throttled.MARK,
    residency.MARK,
    clocks_apart.MARK,
    arrivals.MARK,
    retried.MARK,
    slots.MARK,
    cached.MARK,
    early_end.MARK,
    loop.MARK,
    rejected.MARK,
)
"""Of every rule, in the order in which a row tells them."""

_ALONE = tuple(mark for mark in MARKS if mark is not starved.MARK)


class Judge:
    """The rules, with what they have to know of a run."""

    def __init__(
        self, manifest: Manifest, launches: Sequence[Launch], sessions: Sequence[Session]
    ) -> None:
        self._threads = manifest.machine.threads
        self._arms = {arm.id: arm for arm in manifest.arms}
        self._launches = {launch.id: launch for launch in launches}
        self._retries = retried.retries(launches, sessions)
        self._on_processor = {arm.id: on_processor(manifest, arm) for arm in manifest.arms}
        self._weights = {arm.id: self._mapped(manifest, arm) for arm in manifest.arms}

    def alone(self, sample: Sample, arrivals_seen: int) -> tuple[Mark, ...]:
        """Every doubt that one successful sample raises by itself, in the order of `MARKS`.

        `arrivals_seen`: its bursts, which the sample itself may lack; 0 where nobody kept them.
        What is not exposed raises none.
        """
        arm = self._arms[sample.arm]
        doubted = (
            busy.is_busy(sample, self._threads),
            throttled.is_throttled(sample),
            residency.is_spilled(sample, self._weights[arm.id]),
            clocks_apart.clocks_are_apart(sample, arrivals_seen),
            arrivals.arrived_together(sample, arrivals_seen),
            sample.launch in self._retries,
            slots.has_slots(arm, self._launches.get(sample.launch)),
            cached.is_cached(sample),
            early_end.ends_early(sample),
            loop.loops(sample, arm),
            rejected.all_rejected(sample, arm),
        )
        return tuple(compress(_ALONE, doubted)) if any(doubted) else ()

    def together(self, samples: Sequence[AnySample]) -> Mapping[SampleKey, tuple[Mark, ...]]:
        """The doubts that need all successful samples of one trial, which are given. Samples
        without such a doubt are missing."""
        if not samples or not self._on_processor[samples[0].arm]:
            return {}
        return {sample.key: (starved.MARK,) for sample in starved.starved(samples)}

    def _mapped(self, manifest: Manifest, arm: Arm) -> float | None:
        """Bytes of weights that a token reads, of a GGUF file that a processor computes from."""
        facts = next((m.facts for m in manifest.models if m.path == arm.model), None)
        if facts is None or facts.format != "gguf" or not self._on_processor[arm.id]:
            return None
        return facts.active_bytes


@dataclass(frozen=True)
class Doubts:
    """What came of judging a run: the marks of each sample that has some."""

    marks: Mapping[SampleKey, tuple[Mark, ...]]

    def of(self, sample: Sample) -> tuple[Mark, ...]:
        """In the order of `MARKS`."""
        return self.marks.get(sample.key, ())

    def spoiled(self, sample: Sample, figure: Figure) -> bool:
        return any(figure in mark.spoils for mark in self.of(sample))

    def sound(self, samples: Sequence[Sample], *figures: Figure) -> Sound[Sample]:
        """What the figures are made of; `samples` are those of one trial that succeeded."""
        return sound(samples, self.marks, *figures)


def judge(run: RunData) -> Doubts:
    """Hold all successful samples of a run against all rules."""
    judging = Judge(run.manifest, run.launches, run.sessions)
    found: dict[SampleKey, tuple[Mark, ...]] = {}
    for samples in by_place(s for s in run.samples if s.status == "ok").values():
        together = judging.together(samples)
        for sample in samples:
            marks = (*judging.alone(sample, len(sample.bursts)), *together.get(sample.key, ()))
            if marks:
                found[sample.key] = tuple(sorted(marks, key=MARKS.index))
    return Doubts(found)


def run_doubts(manifest: Manifest, samples: Iterable[AnySample]) -> tuple[str, ...]:
    """Doubts about a run as a whole, in words for the top of its report.

    Of `samples` only plain decoding's count, those of whole rounds.
    """
    found = drift.find_drift(manifest, samples)
    return () if found is None else (drift.words(found),)
