"""Which trials of two sides belong together, and in what the sides differ beside that."""

from __future__ import annotations

from dataclasses import dataclass

from harness.compare.side import Side, SideTrial


@dataclass(frozen=True)
class Difference:
    """Something that is not the same on both sides."""

    what: str
    baseline: str
    candidate: str
    forbids: bool
    """A ratio of the two would mean nothing; refused without --force."""


@dataclass(frozen=True)
class Match:
    """A trial of either side: the same but for what the sides differ in. Both hold samples of the
    prompts alone that are the same text on both."""

    name: str
    """What sets it apart from other matches: 'ngram-mod k=4 · coding · 128 tokens'."""
    baseline: SideTrial
    candidate: SideTrial


@dataclass(frozen=True)
class Matching:
    """Everything that can be compared, and what cannot."""

    matches: tuple[Match, ...]
    unmatched: tuple[str, ...]
    """Trials of one side alone, each with the side, and why where that is known."""
    differences: tuple[Difference, ...]
    """Those that forbid a comparison first."""
    paired: bool
    """Both sides are of one run, whose rounds were measured side by side."""


def match(baseline: Side, candidate: Side) -> Matching:
    """Put together the trials that differ in nothing but what one value of each side stands for.

    Raises:
        CompareError: the two have no trial in common.
    """
    raise NotImplementedError
