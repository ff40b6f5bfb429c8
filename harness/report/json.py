"""The rows of a report for machines: a JSON array, numbers unrounded."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from harness.analysis.side_by_side import SideRow
from harness.analysis.step_costs import StepCost
from harness.analysis.trial import TrialSummary
from harness.report.content import Report
from harness.tune.card import Card


def render(report: Report) -> str:
    """An object for each trial.

    Its `side_by_side` says how the trial stands beside the same setting of the suite's first
    runner (`ratio`, `text` and `prompts` are null for that one itself), and is null where no other
    runner has the setting. Its `step_cost` is null where it does not speculate, or does not tell.
    """
    trials = TypeAdapter(TrialSummary)
    sides = TypeAdapter(SideRow)
    beside = {
        (row.trial.arm.id, row.trial.workload, row.trial.max_tokens): row
        for group in report.side_by_side.groups
        for row in group.rows
    }
    steps = TypeAdapter(StepCost)
    costed = {
        (cost.row.arm.id, cost.row.workload, cost.row.max_tokens): cost
        for cost in report.step_costs.costs
    }
    rows = []
    for trial in report.rows:
        side = beside.get((trial.arm.id, trial.workload, trial.max_tokens))
        told = None if side is None else sides.dump_python(side, mode="json", exclude={"trial"})
        cost = costed.get((trial.arm.id, trial.workload, trial.max_tokens))
        step = None if cost is None else steps.dump_python(cost, mode="json", exclude={"row"})
        row = trials.dump_python(trial, mode="json")
        rows.append({**row, "side_by_side": told, "step_cost": step})
    return json.dumps(rows, indent=2, ensure_ascii=False)


def render_card(card: Card) -> str:
    """The answer of a tuning: an object."""
    told = TypeAdapter(Card).dump_python(card, mode="json")
    return json.dumps(told, indent=2, ensure_ascii=False)
