"""One side of a comparison: a run, or some arms of one, read trial by trial without its answers."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.analysis.doubt.judge import MARKS, Judge, run_doubts
from harness.analysis.doubt.mark import Figure, Mark
from harness.analysis.doubt.sound import Sound, sound
from harness.analysis.notes import failure_of
from harness.analysis.settings import setting_names
from harness.analysis.trial import Place
from harness.compare.errors import CompareError
from harness.measured import BareSample, bare
from harness.records import Arm, Launch, Manifest, SampleKey
from harness.report.numbers import counted
from harness.run_folder import SAMPLES, RunData, read_all_but_samples
from harness.run_stream import SampleStream
from runners.base.speculation import PLAIN
from runners.base.spelling import known_names

BASELINE = "baseline"
CANDIDATE = "candidate"
"""The runners of a run that holds both sides."""

LARGE = 20_000_000
"""Bytes of samples of either run from which a second process reads one of the two: handing them
over takes a tenth of the time of reading them."""


@dataclass(frozen=True)
class SideTrial:
    """One arm on one workload at one `max_tokens`."""

    arm: Arm
    setting: str
    """What tables call the arm; unique in its run."""
    workload: str
    max_tokens: int
    samples: tuple[BareSample, ...]
    """Those that succeeded, in the order in which they were measured."""
    failures: tuple[tuple[int, str], ...]
    """Round and prompt of each request that failed."""
    unlaunched: tuple[int, ...]
    """Rounds of launches of the arm that failed; an arm whose launch failed has no more of them."""
    failure: str | None
    """Why there is no sample; None where there is one."""
    doubts: Mapping[SampleKey, tuple[Mark, ...]]
    """Only of samples that have any."""

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return len(self.failures)

    def made_of(self, figure: Figure) -> Sound[BareSample]:
        """The samples that a figure is made of, and how many a doubt leaves out."""
        if figure not in self._sounds:
            spoiling = {
                key: marks
                for key, marks in self.doubts.items()
                if any(figure in mark.spoils for mark in marks)
            }
            self._sounds[figure] = sound(self.samples, spoiling, figure)
        return self._sounds[figure]

    def sound(self, figure: Figure) -> tuple[BareSample, ...]:
        """The samples that a figure is made of."""
        return self.made_of(figure).samples

    def commonest_doubt(self, figure: Figure) -> str | None:
        """What spoils the figure of most of its samples, in words; None where nothing does."""
        counts = Counter(
            mark.words for marks in self.doubts.values() for mark in marks if figure in mark.spoils
        )
        return max(counts, key=lambda words: counts[words], default=None)

    def of_prompts(self, prompts: Collection[str]) -> SideTrial:
        """What it has of these prompts alone."""
        if all(sample.prompt in prompts for sample in self.samples) and all(
            prompt in prompts for _, prompt in self.failures
        ):
            return self
        return replace(
            self,
            samples=tuple(s for s in self.samples if s.prompt in prompts),
            failures=tuple(one for one in self.failures if one[1] in prompts),
        )

    def __getstate__(self) -> dict[str, object]:
        """For another process: by columns, which takes half the time of tuples with a name."""
        return {**self.__dict__, "samples": tuple(zip(*self.samples, strict=True))}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        samples = map(BareSample._make, zip(*state["samples"], strict=True))
        self.__dict__.update(state, samples=tuple(samples))

    @cached_property
    def _sounds(self) -> dict[Figure, Sound[BareSample]]:
        """What was asked for: each figure is made once, of very many samples perhaps."""
        return {}


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
    'candidate'. A folder that both sides name is read once.

    Raises:
        CompareError: no such folder or name, no sample, or both sides have an arm in common.
        RunFolderError: no run, or a damaged one.
    """
    (folder, name), (other, other_name) = _parts(baseline), _parts(candidate or baseline)
    same = folder.resolve() == other.resolve()
    run = read_all_but_samples(folder)
    if candidate is None:
        if name is not None or not _holds_both(run.manifest):
            raise CompareError(_lone(baseline, folder, run.manifest))
        name, other_name = BASELINE, CANDIDATE
        baseline, candidate = f"{folder}:{BASELINE}", f"{folder}:{CANDIDATE}"
    assert candidate is not None
    second = run if same else read_all_but_samples(other)
    # Both names are looked up before the long reading.
    wanted = _named(folder, run.manifest, name), _named(other, second.manifest, other_name)
    if same and wanted[0] & wanted[1]:
        raise CompareError(
            f"{baseline} and {candidate} have the setting {min(wanted[0] & wanted[1])} in common, "
            "which cannot be held against itself"
        )
    if same:
        whole = against = _read(baseline, folder, run)
    elif min(_size(folder), _size(other)) < LARGE:
        whole, against = _read(baseline, folder, run), _read(candidate, other, second)
    else:
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

        with ProcessPoolExecutor(max_workers=1) as beside:
            later = beside.submit(_read, candidate, other, second)
            whole = _read(baseline, folder, run)
            with _collecting_nothing():
                against = later.result()
    return _part(whole, baseline, wanted[0]), _part(against, candidate, wanted[1])


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Without the garbage collector, which looks at all samples again and again: a fifth of the
    time of reading them. What was made here it will leave alone later too: none of it is in a
    cycle, and all of it is needed to the end."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


def _parts(text: str) -> tuple[Path, str | None]:
    """The folder and the name: text that is a folder as a whole has no name."""
    path = Path(text)
    head, _, name = text.rpartition(":")
    if path.is_dir():
        return path, None
    if head and name and Path(head).is_dir():
        return Path(head), name
    if path.is_file():
        raise CompareError(f"{text} is a file: give the folder of a run")
    raise CompareError(f"there is no folder {text}")


def _lone(side: str, folder: Path, manifest: Manifest) -> str:
    """What to say of one side that has nothing to stand against."""
    if _holds_both(manifest):
        return f"{side} is one side: give {folder} for both of them, or name the other side too"
    known = ", ".join(dict.fromkeys(arm.id for arm in manifest.arms))
    return (
        f"{side} is no run of bench ab, which would hold both sides: name a second run, or two "
        f"settings of this one, as {folder}:NAME against {folder}:OTHER, of {known}"
    )


def _size(folder: Path) -> int:
    file = folder / SAMPLES
    return file.stat().st_size if file.exists() else 0


def _holds_both(manifest: Manifest) -> bool:
    return {BASELINE, CANDIDATE} <= {arm.runner for arm in manifest.arms}


def _named(folder: Path, manifest: Manifest, name: str | None) -> set[str]:
    """Ids of the arms that a name stands for: of a runner, an arm or a method, in this order."""
    arms = manifest.arms
    if name is None:
        return {arm.id for arm in arms}
    method = PLAIN if name == "plain" else name
    for found in (
        {arm.id for arm in arms if arm.runner == name},
        {arm.id for arm in arms if arm.id == name},
        {arm.id for arm in arms if arm.method == method},
    ):
        if found:
            return found
    known = dict.fromkeys(
        [arm.runner for arm in arms] + [arm.id for arm in arms] + [arm.method for arm in arms]
    )
    raise CompareError(
        f"{folder} has no runner, setting or method {name!r}: {known_names(name, known)}"
    )


def _part(whole: Side, name: str, arms: set[str]) -> Side:
    return replace(
        whole, name=name, trials=tuple(trial for trial in whole.trials if trial.arm.id in arms)
    )


def _read(name: str, folder: Path, run: RunData) -> Side:
    """All trials of a run."""
    judge = Judge(run.manifest, run.launches, run.sessions)
    known = {arm.id for arm in run.manifest.arms}
    doubts: dict[SampleKey, tuple[Mark, ...]] = {}
    places: dict[Place, list[BareSample]] = defaultdict(list)
    stream = SampleStream(folder)
    with _collecting_nothing():
        for sample, bursts in stream:
            if sample.arm not in known:
                continue
            if sample.status == "ok" and (marks := judge.alone(sample, bursts)):
                doubts[sample.key] = marks
            places[sample.arm, sample.workload, sample.max_tokens].append(bare(sample))
        if not places:
            raise CompareError(f"{folder} holds no sample: nothing was measured in it yet")
        for samples in places.values():
            samples.sort(key=lambda sample: sample.sequence)
            _add(doubts, judge.together([s for s in samples if s.status == "ok"]))
    return Side(
        name,
        folder,
        run.manifest,
        _trials(run, places, doubts),
        _remarks(run, [s for one in places.values() for s in one], cut_off=stream.cut_off),
    )


def _add(
    doubts: dict[SampleKey, tuple[Mark, ...]], more: Mapping[SampleKey, tuple[Mark, ...]]
) -> None:
    for key, marks in more.items():
        doubts[key] = tuple(sorted((*doubts.get(key, ()), *marks), key=MARKS.index))


def _trials(
    run: RunData,
    places: Mapping[Place, Sequence[BareSample]],
    doubts: Mapping[SampleKey, tuple[Mark, ...]],
) -> tuple[SideTrial, ...]:
    """By workload, max_tokens and arm; also those without a sample."""
    names = setting_names(run.manifest.arms)
    launches: dict[str, list[Launch]] = defaultdict(list)
    for launch in run.launches:
        launches[launch.arm].append(launch)
    return tuple(
        _trial(
            arm,
            names[arm.id],
            workload,
            max_tokens,
            samples=places.get((arm.id, workload, max_tokens), ()),
            launches=launches[arm.id],
            doubts=doubts,
        )
        for workload in dict.fromkeys(prompt.workload for prompt in run.manifest.prompts)
        for max_tokens in run.manifest.suite.max_tokens
        for arm in run.arms
    )


def _trial(
    arm: Arm,
    setting: str,
    workload: str,
    max_tokens: int,
    *,
    samples: Sequence[BareSample],
    launches: Sequence[Launch],
    doubts: Mapping[SampleKey, tuple[Mark, ...]],
) -> SideTrial:
    ok = tuple(sample for sample in samples if sample.status == "ok")
    # Drafts that never came are a failure in a report; here they are what a comparison shows.
    failure = None if ok else failure_of(arm, samples, launches, drafts_elsewhere=True)
    return SideTrial(
        arm=arm,
        setting=setting,
        workload=workload,
        max_tokens=max_tokens,
        samples=ok,
        failures=tuple((s.round, s.prompt) for s in samples if s.status == "failed"),
        unlaunched=tuple(launch.round for launch in launches if launch.status == "failed"),
        failure=failure,
        doubts={key: doubts[key] for s in ok if (key := s.key) in doubts},
    )


def _remarks(run: RunData, samples: Sequence[BareSample], *, cut_off: bool) -> tuple[str, ...]:
    found = []
    if cut_off:
        found.append("its last sample is half-written and left out")
    planned = run.planned_by(len(samples), max(sample.round for sample in samples))
    if len(samples) < planned:
        found.append(f"{len(samples)} of {counted(planned, 'planned request')} were measured")
    ok: Iterable[BareSample] = (sample for sample in samples if sample.status == "ok")
    return (*found, *run_doubts(run.manifest, ok))
