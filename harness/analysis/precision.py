"""How exact the figures of a run are by now, against how exact they are to be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.doubt.judge import Doubts
from harness.analysis.doubt.mark import Figure
from harness.analysis.statistics import Estimate, geometric_mean_estimate
from harness.analysis.trial import TrialSummary
from harness.records import Sample
from harness.run_folder import RunData


@dataclass(frozen=True)
class Exactness:
    """How far the interval of one trial's figure reaches."""

    setting: str
    workload: str
    half_width: float | None
    """Half of the interval's width, as a share of the value; None: too few values carry none."""

    def within(self, precision: float) -> bool:
        return self.half_width is not None and self.half_width <= precision


def least_exact(
    run: RunData, rows: Sequence[TrialSummary], doubts: Doubts, *, without: Collection[str] = ()
) -> Exactness | None:
    """The trial whose figure is known the least exactly; None where none has a figure.

    `rows` are the run's, and `without` the arms that no further round can make more exact. Of an
    arm that is compared with plain it is the speed-up that counts. Plain decoding counts through
    the speed-ups; where nothing is held against it, and as served, it is the decode rate that
    counts: how far a further round over the same prompts may lie from it, since how much prompts
    differ no round can change.
    """
    found = list(_exactnesses(run, [row for row in rows if row.arm.id not in without], doubts))
    # Of equals the first, so that what a progress display names stays in place.
    return max(
        found,
        key=lambda one: float("inf") if one.half_width is None else one.half_width,
        default=None,
    )


def _exactnesses(run: RunData, rows: Sequence[TrialSummary], doubts: Doubts) -> Iterator[Exactness]:
    compared = {(row.arm.baseline, row.workload, row.max_tokens) for row in rows if row.speedup}
    for row in rows:
        if row.failure is not None or (row.arm.id, row.workload, row.max_tokens) in compared:
            continue
        estimate = row.speedup
        if estimate is None:
            samples = [
                sample
                for sample in run.samples
                if sample.status == "ok"
                and (sample.arm, sample.workload, sample.max_tokens)
                == (row.arm.id, row.workload, row.max_tokens)
            ]
            estimate = rate_over_rounds(doubts.sound(samples, Figure.RATE).samples)
        if estimate is not None:
            yield Exactness(row.setting, row.workload, _half_width(estimate))


def rate_over_rounds(samples: Sequence[Sample]) -> Estimate | None:
    """The decode rates as shares of their own prompt's mean, with the interval of their mean; None
    of nothing. So that hard prompts and easy ones are no noise.

    A rate takes a part of its luck into its prompt's mean, the whole of it where it is the only
    one: shares are stretched by what is missing of a prompt that was measured in every round.
    """
    by_prompt: dict[str, dict[int, float]] = {}
    for sample in samples:
        if sample.decode_rate:
            by_prompt.setdefault(sample.prompt, {})[sample.round] = math.log(sample.decode_rate)
    count = len({number for one in by_prompt.values() for number in one})
    told = [one for one in by_prompt.values() if len(one) > 1] or list(by_prompt.values())
    rounds: dict[int, list[float]] = {}
    for one in told:
        mean, size = statistics.fmean(one.values()), len(one)
        stretch = math.sqrt((1 - 1 / count) / (1 - 1 / size)) if size > 1 else 1.0
        for number, log in one.items():
            rounds.setdefault(number, []).append(math.exp(stretch * (log - mean)))
    return geometric_mean_estimate(list(rounds.values()))


def _half_width(estimate: Estimate) -> float | None:
    if estimate.interval is None:
        return None
    return (estimate.interval.high - estimate.interval.low) / 2 / estimate.value
