"""The figures of a trial that two sides are compared by, round by round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Literal

from harness.analysis.doubt.mark import Figure
from harness.compare.effect import Values
from harness.compare.matching import Match
from harness.compare.side import SideTrial
from harness.records import Sample

WHOLE = ""
"""Stands in place of a prompt where a figure is of a whole round."""


class Measure(Enum):
    """What is compared; `figure` is what a doubt must not spoil."""

    RATE = ("decode rate", "lower", Figure.RATE)
    """Tokens per second after the first burst."""
    TTFT = ("time to first token", "higher", Figure.TTFT)
    """Seconds."""
    ACCEPTANCE = ("acceptance", "lower", Figure.ACCEPTANCE)
    """Accepted tokens / drafted tokens, added up over a round."""
    LENGTH = ("acceptance length", "lower", Figure.ACCEPTANCE)
    """τ: tokens a decode step, added up over a round."""
    MEMORY = ("peak memory", "higher", Figure.MEMORY)
    """Bytes, the largest of a round."""

    def __init__(self, words: str, worse: Literal["lower", "higher"], figure: Figure) -> None:
        self.words = words
        self.worse = worse
        self.figure = figure


def values(trial: SideTrial, measure: Measure) -> Values:
    """Round -> prompt -> the figure of every sound sample that has it, and where it is above 0.

    Acceptance and its length are added up over the prompts of a round, and the memory is the
    largest: these stand under the prompt `WHOLE`. A round that lacks a prompt counts as if it had
    it: what it has is held against what the same prompts have over all rounds.
    """
    raise NotImplementedError


def both(match: Match, measure: Measure) -> tuple[Values, Values]:
    """The values of the baseline and of the candidate, over the prompts that are sound on both."""
    raise NotImplementedError
