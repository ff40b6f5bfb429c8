"""Samples of two arms held against each other: the same prompt in the same round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.measured import AnySample, SampleKind
from harness.records import Sample


@dataclass(frozen=True)
class UnequalPrompt:
    """A prompt that two arms find of different lengths, in tokens."""

    workload: str
    prompt: str
    tokens: int
    reference_tokens: int


@dataclass(frozen=True)
class PromptCounts:
    """How long two arms find the same prompts."""

    compared: int = 0
    """Prompts whose length both tell."""
    differing: int = 0
    """Of these: prompts of two lengths, which are two texts to the model."""
    example: UnequalPrompt | None = None
    """The first that differs."""


def pairs(
    samples: Iterable[SampleKind], reference: Iterable[SampleKind]
) -> Iterator[tuple[SampleKind, SampleKind | None]]:
    """Each successful sample with the reference's of the same round, workload, prompt and length.

    The second is None where the reference has no such sample or it failed.
    """
    found = {_place(sample): sample for sample in reference if sample.status == "ok"}
    for sample in samples:
        if sample.status == "ok":
            yield sample, found.get(_place(sample))


def ratios(samples: Iterable[Sample], reference: Iterable[Sample]) -> tuple[tuple[float, ...], ...]:
    """Decode rates divided by the reference's, pair by pair: a tuple for each round, in order.

    Pairs without both rates are left out, and rounds without a pair. Pairing takes out what both
    share: the prompt's difficulty, and how warm and busy the machine was in that round. What it
    leaves in is the luck of the two launches, which all pairs of a round share.
    """
    found: dict[int, list[float]] = {}
    for sample, other in pairs(samples, reference):
        if other is not None and sample.decode_rate and other.decode_rate:
            found.setdefault(sample.round, []).append(sample.decode_rate / other.decode_rate)
    return tuple(tuple(found[number]) for number in sorted(found))


def prompt_counts(samples: Iterable[Sample], reference: Iterable[Sample]) -> PromptCounts:
    """Hold the lengths of the prompts against the reference's, pair by pair."""
    found: dict[tuple[str, str], UnequalPrompt | None] = {}
    for sample, other in pairs(samples, reference):
        if other is None or sample.prompt_tokens is None or other.prompt_tokens is None:
            continue
        place = (sample.workload, sample.prompt)
        found.setdefault(place, None)
        if sample.prompt_tokens != other.prompt_tokens:
            found[place] = UnequalPrompt(*place, sample.prompt_tokens, other.prompt_tokens)
    unequal = [one for one in found.values() if one is not None]
    return PromptCounts(len(found), len(unequal), unequal[0] if unequal else None)


def _place(sample: AnySample) -> tuple[int, str, str, int]:
    return (sample.round, sample.workload, sample.prompt, sample.max_tokens)
