"""Whether an arm wrote the same text as plain decoding, token by token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis.pairing import pairs
from harness.records import Sample


class Verdict(StrEnum):
    IDENTICAL = "identical"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Lossless:
    """What came of comparing an arm's answers with the plain arm's."""

    verdict: Verdict
    compared: int = 0
    """Pairs of answers that could be compared."""
    differing: int = 0
    first_difference: int | None = None
    """Index from 0 of the first token that differs, the smallest over all pairs; None where the
    answers are the same, or where only their hashes are known."""
    reason: str | None = None
    """Why nothing could be compared."""


def compare(samples: Iterable[Sample], plain: Iterable[Sample], *, temperature: float) -> Lossless:
    """Hold each answer against the plain arm's of the same round, prompt and length."""
    if temperature > 0:
        return _not_comparable(f"sampled at temperature {temperature:g}, so answers differ anyway")
    paired = [(sample, other) for sample, other in pairs(samples, plain) if other is not None]
    if not paired:
        return _not_comparable("no plain answer to the same prompt in the same round")
    found = [_first_difference(sample, other) for sample, other in paired]
    compared = [difference for difference in found if difference is not _UNKNOWN]
    if not compared:
        return _not_comparable("neither tokens nor text hashes are exposed")
    differences = [difference for difference in compared if difference is not _SAME]
    positions = [d.token for d in differences if d.token is not None]
    return Lossless(
        Verdict.DIFFERENT if differences else Verdict.IDENTICAL,
        compared=len(compared),
        differing=len(differences),
        first_difference=min(positions, default=None),
    )


@dataclass(frozen=True, eq=False)
class _Difference:
    token: int | None = None


_SAME = _Difference()
_UNKNOWN = _Difference()


def _first_difference(sample: Sample, other: Sample) -> _Difference:
    if sample.tokens is not None and other.tokens is not None:
        position = _first_unequal(sample.tokens, other.tokens)
        return _SAME if position is None else _Difference(position)
    if sample.text_sha256 is not None and other.text_sha256 is not None:
        return _SAME if sample.text_sha256 == other.text_sha256 else _Difference()
    return _UNKNOWN


def _first_unequal(left: Sequence[int], right: Sequence[int]) -> int | None:
    """Where two sequences part: an answer that merely ends earlier parts at its end."""
    for position, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return position
    return None if len(left) == len(right) else min(len(left), len(right))


def _not_comparable(reason: str) -> Lossless:
    return Lossless(Verdict.NOT_COMPARABLE, reason=reason)
