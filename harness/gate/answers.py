"""Whether the candidate's answers left plain decoding's where the baseline's did not.

A side's samples hold only the hashes of their texts. The answers are read a second time, and only
of those whose hash differs from plain's, each pair of texts once however many rounds wrote it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.analysis.lossless import Held, Lossless, Probes, Verdict, held, lossless_of
from harness.analysis.lossless import not_comparable as not_held
from harness.compare.matching import Match
from harness.compare.side import Side, SideTrial
from harness.gate.decide import Decision
from harness.gate.verdict import Figure, Row
from harness.measured import AnySample, BareSample
from harness.pairing import pairs
from harness.records import Sample
from harness.run_folder import SAMPLES, RunFolderError, read_all_but_samples

MOST_PAIRS = 2_000
"""Pairs of texts that are read of one side, shared evenly by its trials: a second at the most."""

_HASH = re.compile(rb'"text_sha256"\s*:\s*"([0-9a-f]{64})"')
"""Nothing but the field: within a JSON string each quote has a backslash before it."""

_NOT_PROBED = "the run did not probe it"

_Place = tuple[str, str, str, int]
"""(arm, workload, prompt, max_tokens)"""

_Key = tuple[_Place, str | None, str | None]
"""Of a pair: the arm's place, its text's hash and plain's."""


@dataclass(frozen=True)
class _Pair:
    """Two texts that differ, and who wrote them first."""

    sample: BareSample
    plain: BareSample


def lossless_rows(matches: Sequence[Match], baseline: Side, candidate: Side) -> list[Row]:
    """A row for each trial that could be lossless: not plain decoding, nor drafts by draw.

    Raises:
        RunFolderError: a run that cannot be read.
    """
    speculating = [
        one
        for one in matches
        if not (one.baseline.arm.is_baseline or one.candidate.arm.is_baseline)
        and one.baseline.arm.synthetic is None
        and one.candidate.arm.synthetic is None
        and one.baseline.samples
        and one.candidate.samples
    ]
    before = _lossless([one.baseline for one in speculating], baseline)
    after = _lossless([one.candidate for one in speculating], candidate)
    return [
        _row(one.name, *outcome) for one, *outcome in zip(speculating, before, after, strict=True)
    ]


def judge_lossless(before: Lossless, after: Lossless) -> tuple[Decision, str | None]:
    """The decision and what there is to say beside it."""
    if after.verdict is Verdict.NOT_COMPARABLE:
        return Decision.INCONCLUSIVE, after.reason
    if not after.clear and not after.unprobed:
        near = f"{_differ(after)}, all at near-ties" if after.differing else None
        return Decision.PASSED, near
    if before.clear:
        return Decision.PASSED, f"{_differ(after)}; in the baseline {_differ(before)}: no news"
    if before.verdict is Verdict.NOT_COMPARABLE:
        return (
            Decision.INCONCLUSIVE,
            f"{_differ(after)}; the baseline's cannot be compared: {before.reason}",
        )
    if after.clear and not before.unprobed:
        return (
            Decision.REGRESSED,
            f"{_differ(after)}, {after.clear} of them not at a near-tie; in the baseline "
            f"{before.differing or 'none'}" + (", at near-ties" if before.differing else ""),
        )
    unprobed = after.unprobed_reason if after.unprobed else before.unprobed_reason
    return (
        Decision.INCONCLUSIVE,
        f"{_differ(after)}, in the baseline {before.differing or 'none'}; nobody knows how nearly "
        f"the tokens tied: {unprobed}",
    )


def _row(name: str, before: Lossless, after: Lossless) -> Row:
    decision, reason = judge_lossless(before, after)
    return Row(trial=name, figure=Figure.LOSSLESS, decision=decision, reason=reason)


def _differ(found: Lossless) -> str:
    return f"{found.differing} of {found.compared} answers differ from plain's"


def _lossless(trials: Sequence[SideTrial], side: Side) -> list[Lossless]:
    """What came of each trial's answers, in their order."""
    temperature = side.manifest.suite.temperature
    if temperature > 0:
        drawn = not_held(f"sampled at temperature {temperature:g}, so answers differ anyway")
        return [drawn] * len(trials)
    places = {(one.arm.id, one.workload, one.max_tokens): one for one in side.trials}
    plain = [places.get((one.arm.baseline, one.workload, one.max_tokens)) for one in trials]
    share = MOST_PAIRS // max(1, len(trials))
    found = [
        None if other is None else _Texts.of(trial.samples, other.samples)
        for trial, other in zip(trials, plain, strict=True)
    ]
    wanted = [
        pair for texts in found if texts is not None for pair in list(texts.pairs.values())[:share]
    ]
    outcomes = _held(wanted, side.folder) if wanted else {}
    return [
        not_held("plain decoding is no part of this side")
        if texts is None
        else texts.outcome(outcomes)
        for texts in found
    ]


@dataclass(frozen=True)
class _Texts:
    """The pairs of one trial's answers and plain's, told apart by their hashes."""

    same: int
    differing: Counter[_Key]
    pairs: Mapping[_Key, _Pair]

    @classmethod
    def of(cls, samples: Sequence[BareSample], plain: Sequence[BareSample]) -> _Texts:
        same, differing = 0, Counter[_Key]()
        found: dict[_Key, _Pair] = {}
        for sample, other in pairs(samples, plain):
            if other is None or sample.text_sha256 is None or other.text_sha256 is None:
                continue
            if sample.text_sha256 == other.text_sha256:
                same += 1
                continue
            key = _key(sample, other)
            differing[key] += 1
            found.setdefault(key, _Pair(sample, other))
        return cls(same, differing, found)

    def outcome(self, outcomes: Mapping[_Key, Held | None]) -> Lossless:
        """The verdict over all of them; a pair that was not read is not probed either."""
        unread = Held(
            same=False, reason=f"only the first {MOST_PAIRS} pairs of texts of a run are read"
        )
        told: list[Held | None] = [Held(same=True)] * self.same
        for key, count in self.differing.items():
            told += [outcomes.get(key, unread)] * count
        return lossless_of(told) if told else not_held("no hashes of texts to hold together")


def _key(sample: AnySample, plain: AnySample) -> _Key:
    return (_place(sample), sample.text_sha256, plain.text_sha256)


def _held(wanted: Sequence[_Pair], folder: Path) -> dict[_Key, Held | None]:
    """Each pair's answers held together, read again from the run."""
    places: dict[bytes, set[_Place]] = {}
    for pair in wanted:
        for one in (pair.sample, pair.plain):
            places.setdefault((one.text_sha256 or "").encode(), set()).add(_place(one))
    answers = {(_place(one), one.text_sha256): one for one in _answers(folder, places)}
    probes = Probes(
        {probe.key: probe for probe in read_all_but_samples(folder).probes}, (), _NOT_PROBED
    )
    found = {}
    for pair in wanted:
        sample, plain = (
            answers.get((_place(one), one.text_sha256)) for one in (pair.sample, pair.plain)
        )
        if sample is not None and plain is not None:
            found[_key(pair.sample, pair.plain)] = held(sample, plain, probes)
    return found


def _answers(folder: Path, places: dict[bytes, set[_Place]]) -> Iterator[Sample]:
    """For each hash, the first answer that has it at each of its places.

    Only lines with a hash that is still wanted are looked into: `places` is used up.
    """
    file = folder / SAMPLES
    try:
        with file.open("rb") as lines:
            for line in lines:
                found = _HASH.search(line)
                if found is None or (left := places.get(found[1])) is None:
                    continue
                try:
                    sample = Sample.model_validate_json(line)
                except ValidationError:
                    continue  # a half-written last line: whoever read the run has said so
                if sample.status == "ok" and _place(sample) in left:
                    left.discard(_place(sample))
                    yield sample
                if not left:
                    del places[found[1]]
                if not places:
                    return
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror}") from None


def _place(sample: AnySample) -> _Place:
    return (sample.arm, sample.workload, sample.prompt, sample.max_tokens)
