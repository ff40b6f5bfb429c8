"""Where answers part from those they are held against, and which of these places are probed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.pairing import pairs, prompt_counts
from harness.records import Arm, Sample

MOST_PROBES = 8
"""Places that are probed for one arm on one workload: each costs a prefill."""


@dataclass(frozen=True)
class FirstDifference:
    """What two answers have in common, and the token that each wrote next."""

    written: tuple[int, ...]
    token: int | None
    """The arm's; None: its answer ends here."""
    plain_token: int | None
    """Plain's; None: its answer ends here."""

    @property
    def written_sha256(self) -> str:
        """Of the ids, in decimal and parted by commas."""
        return hashlib.sha256(",".join(map(str, self.written)).encode()).hexdigest()


@dataclass(frozen=True)
class Fork:
    """Where answers leave the text of a plain arm, and that arm, which is to be asked about it."""

    arm: str
    workload: str
    prompt: str
    written: tuple[int, ...]
    written_sha256: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key of the `Probe` that answers it."""
        return (self.arm, self.workload, self.prompt, self.written_sha256)


def first_difference(tokens: Sequence[int], plain_tokens: Sequence[int]) -> FirstDifference | None:
    """Where two sequences part: an answer that merely ends earlier parts at its end."""
    shorter = min(len(tokens), len(plain_tokens))
    at = next((n for n in range(shorter) if tokens[n] != plain_tokens[n]), shorter)
    if at == len(tokens) == len(plain_tokens):
        return None
    return FirstDifference(
        written=tuple(tokens[:at]),
        token=tokens[at] if at < len(tokens) else None,
        plain_token=plain_tokens[at] if at < len(plain_tokens) else None,
    )


def parting(sample: Sample, plain: Sample, *, of_runners: bool = False) -> FirstDifference | None:
    """Where an answer leaves plain's; None: nowhere, or only the limit of tokens cut one shorter.

    Of two runners, one may leave out the token that ends a text: that is no difference either.

    Raises:
        ValueError: the tokens of one of them are not known.
    """
    if sample.tokens is None or plain.tokens is None:
        raise ValueError("only answers whose tokens are known can be compared")
    found = first_difference(sample.tokens, plain.tokens)
    if found is None:
        return None
    shorter = sample if found.token is None else plain if found.plain_token is None else None
    if shorter is None:
        return found
    # llama.cpp before June 2026 cuts a step at the limit and counts it whole.
    if shorter.finish_reason == "length" or (of_runners and _only_the_end_more(sample, plain)):
        return None
    return found


def _only_the_end_more(one: Sample, other: Sample) -> bool:
    """Both end their text, and the one token that one of them has more wrote nothing."""
    return (
        one.finish_reason == other.finish_reason == "stop"
        and one.text_sha256 is not None
        and one.text_sha256 == other.text_sha256
        and abs(len(one.tokens or ()) - len(other.tokens or ())) == 1
    )


def fork_of(plain: Sample, difference: FirstDifference) -> Fork:
    """Where to look at a difference from this plain answer."""
    return Fork(
        arm=plain.arm,
        workload=plain.workload,
        prompt=plain.prompt,
        written=difference.written,
        written_sha256=difference.written_sha256,
    )


def forks_to_probe(
    arms: Iterable[Arm],
    samples: Sequence[Sample],
    *,
    temperature: float,
    of_all: str | None = None,
) -> tuple[Fork, ...]:
    """The first differences of all arms from plain decoding, each place once.

    A plain arm is held against its counterpart's, which is the plain arm of another runner; and
    every arm against the plain arm `of_all`, where there is such a one. Of one arm on one workload
    and against one other at most `MOST_PROBES`, by round, answer length and prompt, so that the
    same samples give the same places. None of sampled answers, which differ anyway, none of arms
    whose drafts are accepted by draw, whose text is void, and none of runners that read other
    prompts.
    """
    if temperature > 0:
        return ()
    ordered = sorted(samples, key=lambda s: (s.workload, s.round, s.max_tokens, s.prompt))
    of_arm: dict[str, list[Sample]] = {}
    for sample in ordered:
        of_arm.setdefault(sample.arm, []).append(sample)
    chosen: dict[tuple[str, str, str, str], Fork] = {}
    for arm, reference in _comparisons(arms, of_all):
        own, others = of_arm.get(arm.id, []), of_arm.get(reference, [])
        of_runners = arm.is_baseline and reference == arm.counterpart
        if of_runners:
            own = _of_the_same_prompts(own, others)
        placed: dict[str, set[tuple[str, str, str, str]]] = {}
        for sample, plain in pairs(own, others):
            if plain is None or sample.tokens is None or plain.tokens is None:
                continue
            difference = parting(sample, plain, of_runners=of_runners)
            if difference is None:
                continue
            place = fork_of(plain, difference)
            keys = placed.setdefault(place.workload, set())
            if place.key in keys or len(keys) < MOST_PROBES:
                keys.add(place.key)
                chosen.setdefault(place.key, place)
    return tuple(chosen.values())


def _comparisons(arms: Iterable[Arm], of_all: str | None) -> Iterator[tuple[Arm, str]]:
    """Each arm with the ids of those that it is held against."""
    for arm in arms:
        if arm.synthetic is not None:
            continue
        own = arm.counterpart if arm.is_baseline else arm.baseline
        for reference in dict.fromkeys((own, of_all)):
            if reference is not None and reference != arm.id:
                yield arm, reference


def _of_the_same_prompts(own: Sequence[Sample], others: Sequence[Sample]) -> list[Sample]:
    """Samples of the workloads whose prompts both runners find equally long, all of them."""
    same = set()
    for workload in dict.fromkeys(sample.workload for sample in own):
        counts = prompt_counts(
            [s for s in own if s.workload == workload],
            [s for s in others if s.workload == workload],
        )
        if counts.compared and not counts.differing:
            same.add(workload)
    return [s for s in own if s.workload in same and s.prompt_tokens is not None]
