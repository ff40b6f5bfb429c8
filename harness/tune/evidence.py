"""What a tuning knows so far: requests of plain decoding and of candidates, as plain numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from harness.analysis.effect import Effect, Values, effect, round_logarithms

MOST_BEFORE = 0.99
"""Share of a request: of one that is nearly all prefill, the rest tells nothing of its steps."""

PLAIN = ""
"""Stands for plain decoding where an arm is named."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One request."""

    arm: str
    """Its id, or `PLAIN`."""
    round: int
    workload: str
    prompt: str
    rate: float
    """The goal's figure, of which more is better: tokens per second, or 1 / TTFT."""
    before: float = 0.0
    """Share of the request before its first token, where the figure is of all of it."""
    tokens: int = 0
    """After the first burst …"""
    steps: int = 0
    """… and the steps that yielded them; 0: not told."""
    accepted: tuple[int, ...] = ()
    """How often the draft's token 0, 1, … was accepted; nothing: not told."""


class Evidence:
    """All readings of a tuning."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._of: dict[tuple[str, str], list[Reading]] = defaultdict(list)
        for reading in readings:
            self._of[reading.arm, reading.workload].append(reading)
        self._effects: dict[tuple[str, str], Effect | None] = {}

    @cached_property
    def launches(self) -> int:
        """Of plain decoding and of settings, in all rounds."""
        return len({(one.arm, one.round) for readings in self._of.values() for one in readings})

    def rounds(self, arm: str, workload: str) -> int:
        """In how many rounds it was measured."""
        return len(self._rounds(arm, workload))

    def in_common(self, arm: str, other: str, workload: str) -> int:
        """In how many rounds both were measured."""
        return len(self._rounds(arm, workload) & self._rounds(other, workload))

    def speedup(self, arm: str, workload: str) -> Effect | None:
        """Over plain decoding, paired by prompt and round; None where it has no pair."""
        key = (arm, workload)
        if key not in self._effects:
            plain, own = self._values(PLAIN, workload), self._values(arm, workload)
            self._effects[key] = effect(plain, own, paired=True)
        return self._effects[key]

    def logarithms(self, arm: str, workload: str) -> list[float]:
        """Of its speed-up, the mean of each round."""
        return round_logarithms(self._values(PLAIN, workload), self._values(arm, workload))

    def before(self, arm: str, workload: str) -> float:
        """Mean share of its requests before their first token, at most `MOST_BEFORE`."""
        found = [reading.before for reading in self._readings(arm, workload)]
        return min(MOST_BEFORE, fmean(found)) if found else 0.0

    def length(self, arm: str, workload: str) -> float | None:
        """τ: tokens a step; None where steps are not told."""
        told = [reading for reading in self._readings(arm, workload) if reading.steps]
        steps = sum(reading.steps for reading in told)
        return sum(reading.tokens for reading in told) / steps if steps else None

    def rates(self, arm: str, workload: str) -> tuple[float, ...] | None:
        """Share of the steps in which the draft's token 0, 1, … was accepted."""
        told = [r for r in self._readings(arm, workload) if r.steps and r.accepted]
        steps = sum(reading.steps for reading in told)
        if not steps:
            return None
        width = max(len(reading.accepted) for reading in told)
        return tuple(
            sum(r.accepted[at] for r in told if at < len(r.accepted)) / steps for at in range(width)
        )

    def _readings(self, arm: str, workload: str) -> Sequence[Reading]:
        return self._of.get((arm, workload), ())

    def _rounds(self, arm: str, workload: str) -> set[int]:
        return {reading.round for reading in self._readings(arm, workload)}

    def _values(self, arm: str, workload: str) -> Values:
        found: dict[int, dict[str, float]] = defaultdict(dict)
        for reading in self._readings(arm, workload):
            found[reading.round][reading.prompt] = reading.rate
        return found
