"""Nights as they could have come: the noise of a real run under other labels."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.effect import Values, effect
from harness.gate.decide import Change, Decision, decide, overall, share

MOST_NIGHTS = 2_000

Trial = tuple[Values, Values]
"""What the decode rates of one trial were under the one label and under the other."""


@dataclass(frozen=True)
class Nights:
    """How many nights the gate would have judged so. Nothing differs in any of them."""

    count: int
    is_all: bool
    """Every way of labelling the rounds was tried, and not a draw of them."""
    regressed: int
    """False alarms."""
    inconclusive: int
    faster: int
    """Called faster beyond doubt, be it by a hair; such a night may have passed too."""

    @property
    def false_alarms(self) -> float:
        """Share of the nights; 0 of none."""
        return self.regressed / self.count if self.count else 0.0


def relabel(trials: Sequence[Trial], threshold: float, seed: int) -> Nights:
    """Judge nights in which the two labels of a round are swapped or not.

    Both labels are of one build, so that each way of putting them on is as likely as the one that
    came about (a permutation test's argument; Fisher 1935, The Design of Experiments, §21). All
    2^rounds ways, or a draw of `MOST_NIGHTS` of them by `seed`. A round is swapped in all trials
    at once, since they share its luck.
    """
    rounds = sorted({number for pair in trials for side in pair for number in side})
    ways = 2 ** len(rounds)
    nights = _drawn(rounds, seed) if ways > MOST_NIGHTS else _all(rounds)
    counts = dict.fromkeys(Decision, 0)
    faster = total = 0
    for swapped in nights if trials else ():
        judged = [
            decide(effect(*_swap(pair, swapped), paired=True), threshold, share(len(trials)))
            for pair in trials
        ]
        counts[overall(one.decision for one in judged)] += 1
        faster += any(one.change is Change.BETTER for one in judged)
        total += 1
    return Nights(
        count=total,
        is_all=ways <= MOST_NIGHTS,
        regressed=counts[Decision.REGRESSED],
        inconclusive=counts[Decision.INCONCLUSIVE],
        faster=faster,
    )


def _all(rounds: Sequence[int]) -> Iterator[frozenset[int]]:
    for flags in itertools.product((False, True), repeat=len(rounds)):
        yield frozenset(itertools.compress(rounds, flags))


def _drawn(rounds: Sequence[int], seed: int) -> Iterator[frozenset[int]]:
    drawing = random.Random(seed)  # noqa: S311 - nothing secret
    for _ in range(MOST_NIGHTS):
        yield frozenset(number for number in rounds if drawing.random() < 0.5)


def _swap(pair: Trial, swapped: Collection[int]) -> Trial:
    one, other = pair
    return (
        {n: values for n in one if (values := (other if n in swapped else one).get(n))},
        {n: values for n in other if (values := (one if n in swapped else other).get(n))},
    )
