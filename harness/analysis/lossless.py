"""Whether an arm wrote the same text as plain decoding, token by token, and if not, how clearly."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.differences import MOST_PROBES, FirstDifference, fork_of, parting
from harness.pairing import pairs
from harness.records import Probe, Sample

NEAR_TIE = math.log(2)
"""Margin below which rounding may decide between two tokens: the likelier one is then less than
twice as likely. docs/reading-a-report.md says what was measured."""

VOID = "drafts accepted by draw: the text is void"

Key = tuple[str, str, str, str]


class Verdict(StrEnum):
    IDENTICAL = "identical"
    NEAR_TIE = "near-tie"
    """Some answers differ, and each of them parts from plain's where two tokens nearly tied."""
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Margin:
    """How far the less likely of two tokens stands below the likeliest one of all.

    In natural logarithms of the probabilities, so it is the difference of the logits. Where plain
    decoding wrote the likeliest token it is what parts the two.
    """

    value: float
    at_least: bool = False
    """The less likely token is not among those that were told: it stands lower still."""

    @property
    def is_near_tie(self) -> bool:
        return self.value < NEAR_TIE and not self.at_least


@dataclass(frozen=True)
class Held:
    """What came of holding one answer against another one."""

    same: bool
    at: int | None = None
    """Index from 0 of the first token that differs; None where only hashes are known."""
    margin: Margin | None = None
    """None where it was not probed."""
    reason: str | None = None
    """Why there is no margin."""


@dataclass(frozen=True)
class Lossless:
    """What came of comparing an arm's answers with the plain arm's."""

    verdict: Verdict
    compared: int = 0
    """Pairs of answers that could be compared."""
    differing: int = 0
    near_ties: int = 0
    """Of those that differ: the two tokens where they part are nearly tied for plain decoding."""
    unprobed: int = 0
    """Of those that differ: nobody knows how near the two tokens are."""
    first_difference: int | None = None
    """Index from 0 of the first token that differs, the smallest over all pairs; None where the
    answers are the same, or where only their hashes are known."""
    decisive: int | None = None
    """The same of the pairs that decide the verdict: real differences before those that were not
    probed, and these before near-ties."""
    margin: Margin | None = None
    """At the decisive token; None where it was not probed."""
    reason: str | None = None
    """Why nothing could be compared."""
    unprobed_reason: str | None = None
    """Why a difference was not probed."""

    @property
    def clear(self) -> int:
        """Answers that differ and are known not to part at a near-tie."""
        return self.differing - self.near_ties - self.unprobed


@dataclass(frozen=True)
class Probes:
    """The probes of a run, and the places that it chose to probe."""

    found: Mapping[Key, Probe]
    chosen: Collection[Key]
    unchosen: str = f"a setting has at most {MOST_PROBES} probes on a workload"
    """Why a place that was not chosen was not."""


NO_PROBES = Probes({}, ())


def compare(
    samples: Iterable[Sample],
    plain: Iterable[Sample],
    *,
    temperature: float,
    probes: Probes = NO_PROBES,
    of_runners: bool = False,
) -> Lossless:
    """Hold each answer against the plain arm's of the same round, prompt and length.

    `of_runners`: the two arms are of two runners, which need not both tell the token that ends a
    text.
    """
    if temperature > 0:
        return not_comparable(f"sampled at temperature {temperature:g}, so answers differ anyway")
    paired = [(sample, other) for sample, other in pairs(samples, plain) if other is not None]
    if not paired:
        return not_comparable("no plain answer to the same prompt in the same round")
    return lossless_of(held(sample, other, probes, of_runners) for sample, other in paired)


def lossless_of(pairs_held: Iterable[Held | None]) -> Lossless:
    """The verdict over pairs of answers; None stands for a pair that could not be compared."""
    compared = [one for one in pairs_held if one is not None]
    if not compared:
        return not_comparable("neither tokens nor text hashes are exposed")
    differences = [one for one in compared if not one.same]
    if not differences:
        return Lossless(Verdict.IDENTICAL, compared=len(compared))
    unprobed = [d for d in differences if d.margin is None]
    near = [d for d in differences if d.margin is not None and d.margin.is_near_tie]
    clear = [d for d in differences if d.margin is not None and not d.margin.is_near_tie]
    decisive = min(clear or unprobed or near, key=lambda d: math.inf if d.at is None else d.at)
    return Lossless(
        Verdict.DIFFERENT if clear or unprobed else Verdict.NEAR_TIE,
        compared=len(compared),
        differing=len(differences),
        near_ties=len(near),
        unprobed=len(unprobed),
        first_difference=min((d.at for d in differences if d.at is not None), default=None),
        decisive=decisive.at,
        margin=decisive.margin,
        unprobed_reason=unprobed[0].reason if unprobed else None,
    )


def not_comparable(reason: str) -> Lossless:
    return Lossless(Verdict.NOT_COMPARABLE, reason=reason)


def margin_of(difference: FirstDifference, top: Sequence[tuple[int, float]]) -> Margin:
    """The margin of the two tokens, by the tokens that plain decoding finds likeliest.

    `top` is likeliest first and not empty. The id of the token that ends a text is not told, so
    where an answer ends, the likeliest token but the other answer's stands for it: the margin is
    then the smallest that it can be.
    """
    logprobs = dict(top)
    best, least = top[0][1], top[-1][1]
    other = difference.plain_token if difference.token is None else difference.token
    wanted = []
    for token in (difference.token, difference.plain_token):
        if token is None:
            rest = [logprob for found, logprob in top if found != other]
            wanted.append(max(rest, default=None))
        else:
            wanted.append(logprobs.get(token))
    told = [logprob for logprob in wanted if logprob is not None]
    if len(told) < len(wanted):
        return Margin(best - least, at_least=True)
    return Margin(best - min(told))


def held(
    sample: Sample, other: Sample, probes: Probes = NO_PROBES, of_runners: bool = False
) -> Held | None:
    """One answer against another one; None where the two cannot be compared."""
    if sample.tokens is not None and other.tokens is not None:
        found = parting(sample, other, of_runners=of_runners)
        if found is None:
            return Held(same=True)
        margin, reason = _margin(other, found, probes)
        return Held(same=False, at=len(found.written), margin=margin, reason=reason)
    if sample.text_sha256 is not None and other.text_sha256 is not None:
        if sample.text_sha256 == other.text_sha256:
            return Held(same=True)
        return Held(same=False, reason="only hashes or texts without token ids are known")
    return None


def _margin(
    plain: Sample, found: FirstDifference, probes: Probes
) -> tuple[Margin | None, str | None]:
    """The margin at a difference from a plain answer, or why there is none."""
    key = fork_of(plain, found).key
    probe = probes.found.get(key)
    if probe is not None:
        return (margin_of(found, probe.top), None) if probe.top else (None, probe.reason)
    if key in probes.chosen:
        return None, "the run did not come to it"
    return None, probes.unchosen
