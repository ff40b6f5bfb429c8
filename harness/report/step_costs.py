"""The section of a report on what speculative steps cost, with a sentence for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.step_costs import CostFit, StepCost, regime
from harness.analysis.trial import TrialSummary
from harness.report import numbers
from harness.report.tables import (
    ACCEPTANCE_LENGTH,
    MAX_TOKENS,
    SETTING,
    WORKLOAD,
    Column,
    Table,
    known,
)

HEADING = "What a step costs"
MEANING = (
    "A step verifies the drafted tokens and one row more, and yields τ tokens. Its time in plain "
    "steps is what τ must exceed for the setting to pay; drafting is part of it. Measured over "
    "prompts and rounds that both have, after the first burst."
)
ROWS = Column("rows")
STEP = Column("a step")
PLAIN_STEPS = Column("in plain steps")
NEEDED = Column("acceptance needed")
WHY = Column("so", "left")


@dataclass(frozen=True)
class StepCostSection:
    costs: tuple[StepCost, ...]
    """What the rows of `table` are made of."""
    table: Table
    remarks: tuple[str, ...]
    """What a row more costs, where several draft lengths tell."""


def step_cost_section(
    costs: Sequence[StepCost], fits: Iterable[CostFit], rows: Sequence[TrialSummary]
) -> StepCostSection:
    """Without rows where nothing speculates, or nothing tells its steps."""
    lengths = len({cost.row.max_tokens for cost in costs}) > 1
    columns = (SETTING, WORKLOAD, *([MAX_TOKENS] if lengths else []))
    columns += (ROWS, STEP, PLAIN_STEPS, ACCEPTANCE_LENGTH, NEEDED, WHY)
    shares = {
        (row.arm.id, row.workload, row.max_tokens): row.ceiling_share
        for row in rows
        if row.arm.is_baseline
    }
    return StepCostSection(
        tuple(costs),
        Table(columns, tuple(_cells(cost, lengths=lengths) for cost in costs)),
        tuple(_remark(fit, shares.get(_plain_of(fit))) for fit in fits),
    )


def _cells(cost: StepCost, *, lengths: bool) -> tuple[str, ...]:
    row = cost.row
    return (
        row.setting,
        row.workload,
        *([str(row.max_tokens)] if lengths else []),
        numbers.length(cost.rows),
        f"{1000 * cost.seconds:.3g} ms",
        numbers.length(cost.plain_steps),
        numbers.length(cost.tau),
        known(cost.break_even_acceptance, _needed),
        sentence(cost),
    )


def _needed(share: float) -> str:
    return "none is enough" if share > 1 else numbers.percent(share)


def sentence(cost: StepCost) -> str:
    """Whether the setting pays and why, in its own numbers.

    'loses: a step of 5.0 rows takes 2.90 plain steps, so τ must exceed 2.90; it is 2.10'
    """
    speedup = cost.row.speedup
    interval = None if speedup is None else speedup.interval
    takes, tau = numbers.length(cost.plain_steps), numbers.length(cost.tau)
    step = f"a step of {numbers.length(cost.rows)} rows takes {takes} plain steps"
    if interval is not None and interval.high < 1:
        return f"loses: {step}, so τ must exceed {takes}; it is {tau}"
    if interval is not None and interval.low > 1:
        return f"pays: {step} and yields {tau} tokens"
    return "not proven either way"


def _plain_of(fit: CostFit) -> tuple[str, str, int]:
    row = fit.costs[0].row
    return (row.arm.baseline, row.workload, row.max_tokens)


def _lengths(fit: CostFit) -> str:
    """'mtp k=1 to k=8': of synthetic arms too, whose steps cost the same whatever is accepted."""
    rows = sorted((cost.row for cost in fit.costs), key=lambda row: row.arm.draft_tokens or 0)
    name, synthetic = rows[0].setting, rows[0].arm.synthetic
    if synthetic is not None:
        name = name.replace(f" synthetic {synthetic.label}", "")
    return f"{name} to k={rows[-1].arm.draft_tokens}"


def _remark(fit: CostFit, plain_share: float | None) -> str:
    first, last = fit.costs[0], fit.costs[-1]
    found = regime(fit, plain_share)
    # A line through two points misses neither, which says nothing of it.
    misses = (
        f"the line misses by at most {fit.error:.2f}" if len(fit.costs) > 2 else "two lengths alone"
    )
    share = (
        ""
        if plain_share is None
        else f", plain decoding reaches {numbers.whole_percent(plain_share)} of its ceiling"
    )
    return (
        f"{_lengths(fit)}, {first.row.workload}: a step costs {fit.fixed:.2f} plain steps at one "
        f"row, and each row more costs {fit.per_row:.2f}, drafting and verifying it "
        f"({numbers.length(first.rows)} to {numbers.length(last.rows)} rows, {misses})"
        f"{share}{'' if found is None else f': {found.value}'}."
    )
