"""Plain decoding, measured anew in each round, became slower or faster from round to round."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from harness.measured import AnySample
from harness.records import Manifest

LEAST_ROUNDS = 6
"""Five rounds fall into order by luck in 1 of 60 cases, which is more than `CHANCE`."""
CHANCE = 0.01
"""Of a trend in rounds that have none."""
LEAST_CHANGE = 0.05
"""From the first round to the last; smaller ones are within what rounds differ by."""
MOST_ROUNDS = 1000
"""Of which the slope is made of all pairs."""


@dataclass(frozen=True)
class Drift:
    """How much plain decoding changed."""

    first: int
    last: int
    """Rounds."""
    change: float
    """Rate in the last round / that in the first, by the line through all of them, less 1."""


def find_drift(manifest: Manifest, samples: Iterable[AnySample]) -> Drift | None:
    """A monotone trend over rounds (Kendall's tau); None where there is none worth a word.

    Each rate is held against the others of the same plain arm and prompt, and a round is the mean
    of its own, since they share the luck of their launch.
    """
    plain = {arm.id for arm in manifest.arms if arm.is_baseline}
    alike: dict[tuple[str, str, str, int], list[tuple[int, float]]] = defaultdict(list)
    for s in samples:
        if s.arm in plain and s.status == "ok" and s.decode_rate:
            place = (s.arm, s.workload, s.prompt, s.max_tokens)
            alike[place].append((s.round, math.log(s.decode_rate)))
    logs: dict[int, list[float]] = defaultdict(list)
    for values in alike.values():
        centre = fmean(log for _, log in values)
        for number, log in values:
            logs[number].append(log - centre)
    if len(logs) < LEAST_ROUNDS:
        return None
    rounds = sorted(logs)
    return _trend(rounds, [fmean(logs[number]) for number in rounds])


def _trend(rounds: list[int], means: list[float]) -> Drift | None:
    change = math.expm1(_slope(rounds, means) * (rounds[-1] - rounds[0]))
    if abs(change) <= LEAST_CHANGE:
        return None
    # Only now: its import takes longer than all else here.
    from scipy import stats  # noqa: PLC0415

    if not float(stats.kendalltau(rounds, means).pvalue) < CHANCE:
        return None
    return Drift(rounds[0], rounds[-1], change)


def _slope(rounds: list[int], means: list[float]) -> float:
    """The median of all slopes between two rounds: a single bad round does not bend it (Sen 1968,
    Journal of the American Statistical Association 63:324)."""
    import numpy as np  # noqa: PLC0415

    # The pairs grow with the square: of very many rounds, a part that is spread over all tells it.
    apart = math.ceil(len(rounds) / MOST_ROUNDS)
    x, y = np.asarray(rounds[::apart], np.float64), np.asarray(means[::apart], np.float64)
    first, second = np.triu_indices(x.size, 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def words(drift: Drift) -> str:
    """'The machine became 12% slower from round 1 to 16: …'."""
    how = "slower" if drift.change < 0 else "faster"
    return (
        f"The machine became {abs(drift.change):.0%} {how} from round {drift.first} to "
        f"{drift.last}: tok/s of different rounds are not alike; speed-ups are paired, and hold."
    )
