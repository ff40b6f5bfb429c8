"""What a speculative step costs in plain steps, as measured, and whether its tokens are worth it.

A step that takes c plain steps and yields τ tokens makes τ / c tokens in the time of one plain
token: it pays where τ > c. With d tokens drafted a step, of which a share a is accepted, τ is
1 + a x d (each step yields one token of the target's own), so the acceptance that a step needs is
(c - 1) / d. Both are sums over steps, without any model of the drafter.

Times are the client's: decode seconds after the first burst over the steps after it, paired by
prompt and round with plain decoding, so that depth and load are shared.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.analysis.trial import TrialSummary, by_place
from harness.pairing import pairs
from harness.records import Arm, Sample
from harness.run_folder import RunData

CHEAP_ROW = 0.25
"""Plain steps for one row more, below which verifying is nearly free. Published for eight rows: 2.4
plain steps on CUDA, which is 0.2 a row, and 6.5 on an M4, which is 0.8."""
DEAR_ROW = 0.5
"""From here on a row more costs about what its token saves."""
LESS_THAN_FREE = -0.05
"""No row more makes a step cheaper: a line that falls faster than this is noise."""
NEAR_CEILING = 0.5
"""Share of its ceiling from which plain decoding waits for the memory more than for anything."""
LEAST_SPREAD = 1.0
"""Rows between the shortest and the longest draft; with less, a line is drawn through noise."""
RARE_DRAFTS = 0.1
"""Drafted tokens a step below which nearly every step is a plain one."""
FAR_BELOW = 0.1
"""Share of its ceiling below which plain decoding waits for something else than the memory."""


@dataclass(frozen=True)
class StepCost:
    """The steps of one arm on one workload, beside plain's."""

    row: TrialSummary
    rows: float
    """Mean rows of a verification: the drafted tokens of a step and one more."""
    seconds: float
    """Of one step, after the prefill."""
    plain_steps: float
    """How many plain steps it takes."""
    tau: float
    """Tokens of a step, over the same samples."""

    @property
    def break_even_acceptance(self) -> float | None:
        """accepted / drafted from which a step pays; above 1 no acceptance is enough. None: it
        hardly drafted."""
        drafted = self.rows - 1
        return max(0.0, self.plain_steps - 1) / drafted if drafted >= RARE_DRAFTS else None


@dataclass(frozen=True)
class CostFit:
    """Plain steps of a step over its rows, as a line through several draft lengths."""

    costs: tuple[StepCost, ...]
    """By rows."""
    fixed: float
    """Plain steps at one row, which drafts nothing: 1 where speculating itself costs nothing."""
    per_row: float
    """Plain steps for each row more: verifying it, and drafting its token."""
    error: float
    """The largest distance of a point from the line, in plain steps."""


class Regime(Enum):
    """What sets the pace of a step; the value is how a report says it."""

    BANDWIDTH = "bandwidth-bound: the memory sets the pace, so rows more are nearly free"
    COMPUTE = "compute-bound: computing sets the pace, so each row more is paid for"
    OVERHEAD = "overhead-bound: neither memory nor computing sets the pace, but getting it started"
    BETWEEN = "between bandwidth-bound and compute-bound"


def regime(fit: CostFit, plain_share: float | None) -> Regime | None:
    """Read off the cost of a row and plain's share of its ceiling; None where they do not tell.

    `plain_share`: decode rate / ceiling of plain decoding; None: not known. Rows that are nearly
    free leave two explanations, which that share tells apart.
    """
    if fit.per_row < LESS_THAN_FREE:
        return None
    if plain_share is not None and plain_share < FAR_BELOW:
        return Regime.OVERHEAD
    if fit.per_row >= DEAR_ROW:
        return Regime.COMPUTE
    if fit.per_row > CHEAP_ROW:
        return Regime.BETWEEN
    if plain_share is None:
        return None
    return Regime.BANDWIDTH if plain_share >= NEAR_CEILING else Regime.OVERHEAD


def step_costs(run: RunData, rows: Sequence[TrialSummary]) -> tuple[StepCost, ...]:
    """Of every row of `rows` that speculates and tells its steps, in their order."""
    samples = by_place(run.samples)
    trials = {(row.arm.id, row.workload, row.max_tokens): row for row in rows}

    def of(arm: str, row: TrialSummary) -> list[Sample]:
        place = (arm, row.workload, row.max_tokens)
        return trials[place].sound(samples[place]) if place in trials else samples[place]

    found = (
        _step_cost(row, of(row.arm.id, row), of(row.arm.baseline, row))
        for row in rows
        if row.arm.draft_tokens is not None and row.failure is None
    )
    return tuple(cost for cost in found if cost is not None)


def _step_cost(
    row: TrialSummary, samples: Iterable[Sample], plain: Iterable[Sample]
) -> StepCost | None:
    seconds = plain_seconds = 0.0
    steps = plain_steps = tokens = 0
    for sample, other in pairs(samples, plain):
        if other is None or sample.steps is None or not sample.decode_s or not other.decode_s:
            continue
        if sample.output_tokens is None or sample.first_burst_tokens is None:
            continue
        if other.output_tokens is None or other.first_burst_tokens is None:
            continue
        if sample.steps < 2 or other.output_tokens <= other.first_burst_tokens:
            continue
        seconds += sample.decode_s
        steps += sample.steps - 1
        tokens += sample.output_tokens - sample.first_burst_tokens
        plain_seconds += other.decode_s
        plain_steps += other.output_tokens - other.first_burst_tokens
    drafted = row.speculating.drafted_per_step
    if not steps or not plain_steps or drafted is None:
        return None
    of_step = seconds / steps
    cost = of_step / (plain_seconds / plain_steps)
    return StepCost(row, 1 + drafted, of_step, cost, tokens / steps)


def cost_fits(costs: Iterable[StepCost]) -> tuple[CostFit, ...]:
    """A line for each family of arms that differ in nothing but the draft length.

    Least squares. None for families whose drafts are all about as long. They keep the order of
    their first rows.
    """
    families: dict[tuple[object, ...], list[StepCost]] = defaultdict(list)
    for cost in costs:
        families[_family(cost.row.arm), cost.row.workload, cost.row.max_tokens].append(cost)
    found = (_fit(sorted(family, key=lambda each: each.rows)) for family in families.values())
    return tuple(fit for fit in found if fit is not None)


def _family(arm: Arm) -> Arm:
    changing = {"id": "", "draft_tokens": None, "asked": (), "limit": None, "counterpart": None}
    return arm.model_copy(update={**changing, "synthetic": None})


def _fit(costs: Sequence[StepCost]) -> CostFit | None:
    xs = [cost.rows - 1 for cost in costs]
    ys = [cost.plain_steps for cost in costs]
    if xs[-1] - xs[0] < LEAST_SPREAD:
        return None
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - mean_x) ** 2 for x in xs)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    fixed = mean_y - slope * mean_x
    error = max(abs(fixed + slope * x - y) for x, y in zip(xs, ys, strict=True))
    return CostFit(tuple(costs), fixed, slope, error)
