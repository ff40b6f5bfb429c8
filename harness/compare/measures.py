"""The figures of a trial that two sides are compared by, round by round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Literal

from harness.analysis.doubt.mark import Figure
from harness.analysis.effect import Values
from harness.compare.matching import Match
from harness.compare.side import SideTrial
from harness.measured import BareSample

WHOLE = ""
"""Stands in place of a prompt where a figure is of a whole round."""

NONE_ACCEPTED = 0.5
"""Tokens that count as accepted in a round that has drafts and accepts none, so that there is a
ratio: a drafter that stops working is not to fall out of the comparison."""

Parts = tuple[float, float]
"""A figure as numerator and denominator."""
Cells = Mapping[int, Mapping[str, Parts]]
"""Round -> prompt -> parts."""


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
    return _values(_cells(trial, measure), measure)


def both(match: Match, measure: Measure) -> tuple[Values, Values]:
    """The values of the baseline and of the candidate, over the prompts that are sound on both."""
    before, after = _cells(match.baseline, measure), _cells(match.candidate, measure)
    of_before, of_after = _prompts(before), _prompts(after)
    if of_before != of_after:
        shared = of_before & of_after
        before, after = _only(before, shared), _only(after, shared)
    return _values(before, measure), _values(after, measure)


def _cells(trial: SideTrial, measure: Measure) -> Cells:
    found: dict[int, dict[str, Parts]] = defaultdict(dict)
    read = _PARTS[measure]
    for sample in trial.sound(measure.figure):
        part, whole = read(sample)
        if part is not None and whole is not None and whole > 0:
            found[sample.round][sample.prompt] = (part, whole)
    return found


def _steps(s: BareSample) -> tuple[float | None, float | None]:
    if s.output_tokens is None or s.first_burst_tokens is None or s.steps is None:
        return None, None
    # Where the first burst's count is a share, the step that ended the prefill yielded one.
    first = 1 if s.first_burst_at_most else s.first_burst_tokens
    return s.output_tokens - first, s.steps - 1


_PARTS: Mapping[Measure, Callable[[BareSample], tuple[float | None, float | None]]] = {
    Measure.RATE: lambda s: (s.decode_rate or None, 1),
    Measure.TTFT: lambda s: (s.ttft_s or None, 1),
    Measure.ACCEPTANCE: lambda s: (s.accepted, s.drafted),
    Measure.LENGTH: _steps,
    Measure.MEMORY: lambda s: (s.runner_peak_memory or None, 1),
}
"""How a sample tells a measure: numerator and denominator, None where it does not."""


def _prompts(cells: Cells) -> set[str]:
    return set().union(*cells.values())


def _only(cells: Cells, prompts: Collection[str]) -> Cells:
    return {
        number: {prompt: parts for prompt, parts in one.items() if prompt in prompts}
        for number, one in cells.items()
    }


def _values(cells: Cells, measure: Measure) -> Values:
    rounds = {number: one for number, one in sorted(cells.items()) if one}
    if measure in (Measure.RATE, Measure.TTFT):
        return {
            number: {prompt: part / whole for prompt, (part, whole) in one.items() if part > 0}
            for number, one in rounds.items()
        }
    if measure is Measure.MEMORY:
        return {
            number: {WHOLE: max(part for part, _ in one.values())} for number, one in rounds.items()
        }
    return {number: {WHOLE: value} for number, value in _pooled(rounds).items()}


def _pooled(rounds: Cells) -> dict[int, float]:
    """Round -> the ratio of the sums over all prompts, as if each round had them all."""
    sums: dict[str, list[float]] = {}
    for one in rounds.values():
        for prompt, (part, whole) in one.items():
            before = sums.setdefault(prompt, [0.0, 0.0, 0.0])
            sums[prompt] = [before[0] + part, before[1] + whole, before[2] + 1]
    means = {prompt: (part / n, whole / n) for prompt, (part, whole, n) in sums.items()}
    overall = _ratio(means) if means else 0.0
    # What a round has of its prompts, of what all rounds have of the same ones.
    return {
        number: overall * _ratio(one) / _ratio({prompt: means[prompt] for prompt in one})
        for number, one in rounds.items()
    }


def _ratio(parts: Mapping[str, Parts]) -> float:
    part = sum(part for part, _ in parts.values())
    return max(part, NONE_ACCEPTED) / sum(whole for _, whole in parts.values())
