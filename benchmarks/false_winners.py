"""How often does a setting that gains nothing win, and how often is a real gain found?

    python benchmarks/false_winners.py [RUNS]

Draws runs of plain and some settings, and asks harness.analysis.statistics which of them are
faster. Noise is normal on the logarithm of the decode rate: 1% from request to request, and a
share of it, its *luck*, from launch to launch, which all requests of a launch share. All settings
are held against the same plain launches. 'By pairs' is what counting every pair as independent,
and every setting as the only one, would claim. Seeded; 1000 runs of each kind take some minutes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from harness.analysis import statistics

NOISE = 0.01
PROMPTS = 4
RESAMPLES = 999
"""Fewer than a report's, since a verdict over many runs asks for less."""

Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Case:
    rounds: int
    settings: int
    luck: float
    """Launch to launch, in units of the noise from request to request."""
    gain: float = 1.0
    """What the first setting is really worth; the others gain nothing."""

    def draw(self, chance: random.Random) -> list[Rounds]:
        """Ratios to plain of each setting, by round."""

        def launches(gain: float) -> list[list[float]]:
            return [
                [
                    gain * exp(luck + chance.gauss(0, NOISE))
                    for luck in [chance.gauss(0, self.luck * NOISE)] * PROMPTS
                ]
                for _ in range(self.rounds)
            ]

        plain = launches(1.0)
        return [
            [
                [rate / base for rate, base in zip(one, other, strict=True)]
                for one, other in zip(launches(gain), plain, strict=True)
            ]
            for gain in [self.gain, *[1.0] * (self.settings - 1)]
        ]


def wins_by_pairs(rounds: Rounds) -> bool:
    """The interval over the pairs alone lies above 1."""
    flat = statistics.geometric_mean_estimate([[ratio for one in rounds for ratio in one]])
    return flat is not None and flat.interval is not None and flat.interval.low > 1


def share(case: Case, runs: int, *, by_pairs: bool = False) -> float:
    """Of so many runs, those in which a null setting wins; with a gain, those which find it."""
    chance = random.Random(f"{case}")
    hits = 0
    for _ in range(runs):
        drawn = case.draw(chance)
        asked = drawn[:1] if case.gain > 1 else drawn
        hits += any(
            wins_by_pairs(one) if by_pairs else statistics.is_proven_gain(one, case.settings)
            for one in asked
        )
    return hits / runs


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    statistics.RESAMPLES = RESAMPLES
    print(f"{PROMPTS} prompts a round, noise {NOISE:.0%}, {runs} runs a line\n")
    print("| rounds | settings | luck | false winner by pairs | as reported |")
    print("|---:|---:|---:|---:|---:|")
    for rounds in (2, 3, 5):
        for settings in (1, 6):
            for luck in (0.0, 0.5, 1.0):
                case = Case(rounds, settings, luck)
                before, now = share(case, runs, by_pairs=True), share(case, runs)
                print(f"| {rounds} | {settings} | {luck:g} | {before:.1%} | {now:.1%} |")
    print("\n| rounds | settings | luck | gain of 5% found | of 10% | of 20% |")
    print("|---:|---:|---:|---:|---:|---:|")
    for rounds in (3, 5, 8):
        for luck in (0.0, 1.0):
            found = [share(Case(rounds, 6, luck, gain), runs) for gain in (1.05, 1.1, 1.2)]
            print(f"| {rounds} | 6 | {luck:g} | {' | '.join(f'{one:.0%}' for one in found)} |")


if __name__ == "__main__":
    main()
