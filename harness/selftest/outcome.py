"""What measuring a build against itself says of the gate, and of the machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.effect import Values, effect, round_logarithms
from harness.analysis.statistics import Interval
from harness.compare.matching import match
from harness.compare.measures import Measure, both
from harness.compare.side import read_sides
from harness.gate.decide import Decision, decide, share, sight
from harness.gate.gate import judge
from harness.selftest.nights import Nights, relabel

MOST_FALSE_ALARMS = 0.01
"""Share of the re-labelled nights: what the gate promises."""


@dataclass(frozen=True)
class TrialNoise:
    """How alike two launches of one build are, in one trial. None: too few rounds to tell."""

    trial: str
    rounds: int
    noise: float | None
    """Standard deviation of the logarithm of a round's ratio: 0.05 is about 5%."""
    ratio: float
    interval: Interval | None
    """Of the ratio, as the gate has it."""
    smallest: float | None
    """The smallest loss that would have been called regressed 95% of the time, as a share."""
    rounds_needed: int | None
    """Rounds that find a loss of twice the threshold, and pass none, 95% of the time."""


@dataclass(frozen=True)
class SelfTest:
    """The gate on a run that has nothing to find."""

    threshold: float
    decision: Decision
    """On the run as it was measured, over all figures."""
    nights: Nights
    """The same run under other labels, by decode rates."""
    trials: tuple[TrialNoise, ...]

    @property
    def passed(self) -> bool:
        """Nothing was taken for a regression, and next to nothing would have been."""
        return (
            self.nights.count > 0
            and self.decision is not Decision.REGRESSED
            and self.nights.false_alarms <= MOST_FALSE_ALARMS
        )


def self_test(folder: Path, threshold: float, seed: int) -> SelfTest:
    """Judge the run in `folder`, whose baseline and candidate are one build, and its re-labellings.

    Raises:
        CompareError: it has no baseline and candidate, or nothing to hold against each other.
        RunFolderError: no run, or a damaged one.
    """
    sides = read_sides(str(folder), None)
    matching = match(*sides)
    rates = {one.name: both(one, Measure.RATE) for one in matching.matches}
    found = {name: pair for name, pair in rates.items() if all(pair)}
    return SelfTest(
        threshold=threshold,
        decision=judge(*sides, matching, threshold).decision,
        nights=relabel(tuple(found.values()), threshold, seed),
        trials=tuple(
            noise
            for name, pair in found.items()
            if (noise := _noise(name, *pair, threshold, share(len(found)))) is not None
        ),
    )


def _noise(
    name: str, baseline: Values, candidate: Values, threshold: float, error_rate: float
) -> TrialNoise | None:
    over = effect(baseline, candidate, paired=True)
    if over is None:
        return None
    ratios = round_logarithms(baseline, candidate)
    could_see = sight(over, threshold, error_rate)
    return TrialNoise(
        trial=name,
        rounds=over.rounds,
        noise=statistics.stdev(ratios) if len(ratios) > 1 else None,
        ratio=over.ratio,
        interval=decide(over, threshold, error_rate).interval,
        smallest=could_see.smallest,
        rounds_needed=could_see.rounds,
    )
