"""What --dry-run prints: the launches and trials of a plan, and about how long they take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.settings import setting_names
from harness.estimate import Estimate, estimate
from harness.feasible import left_out
from harness.goal import goal_of
from harness.plan import Plan
from harness.report.escape import clean
from harness.report.numbers import counted
from harness.tune.goal import NAMES
from harness.tune.rounds import first_round
from harness.tuning_goal import TuningGoal
from runners.base.contract import Missing, Runner
from runners.base.packaging import packaging_of
from runners.endpoint.kinds import UNKNOWN


def show_plan(plan: Plan, runners: Mapping[str, Runner], *, as_json: bool) -> None:
    """Print the plan as a table, or as JSON; `runners` holds every runner of the plan.

    Raises:
        ModelFileError: a model cannot be read.
    """
    tuning = plan.suite.budget is not None
    guess = Estimate(None) if tuning else estimate(plan, runners)
    counts = {
        name: sum(prompt.workload == name for prompt in plan.prompts)
        for name in dict.fromkeys(prompt.workload for prompt in plan.prompts)
    }
    if as_json:
        shown = {
            "suite": plan.suite.model_dump(mode="json"),
            "arms": [arm.model_dump(mode="json") for arm in plan.arms],
            "prompts": counts,
            "context": plan.context,
            **({"first_round": first_round(plan)} if tuning else _size(plan, guess)),
        }
        print(json.dumps(shown, indent=2))
        return
    chosen = not all(arm.as_served for arm in plan.arms)
    console = Console()
    console.print(_table(plan))
    shortened = [f"{arm.id}: {arm.shortened}" for arm in plan.arms if arm.shortened is not None]
    cannot = [f"cannot work: {line}" for line in left_out(plan.arms)]
    several = len({arm.runner for arm in plan.arms}) > 1
    models = _models(plan, runners) if several or not chosen else []
    context = f"; context {plan.context}" if chosen else ""
    at_least = "at least " if plan.suite.goes_on else ""
    lines = [
        *(["", *models] if models else []),
        *(["", *shortened, *cannot] if shortened or cannot else []),
        "",
        *(_tuning(plan) if tuning else _launches(plan, at_least)),
        f"prompts: {', '.join(f'{count} of {name}' for name, count in counts.items())}; "
        f"answers of up to {', '.join(map(str, plan.suite.max_tokens))} tokens{context}",
        *([] if tuning else [f"{at_least}{counted(plan.samples, 'request')}, {guess.words}"]),
    ]
    for line in lines:
        console.print(Text(clean(line)))


def _launches(plan: Plan, at_least: str) -> list[str]:
    return [
        f"{counted(len(plan.measured), 'arm')} in {_rounds(plan)}: "
        f"{at_least}{counted(plan.launches, 'launch', 'launches')}",
        f"{counted(plan.trials, 'trial')}: each arm on each workload at each answer length",
    ]


def _tuning(plan: Plan) -> list[str]:
    """What the first round measures: which ones follow, that tells."""
    first = first_round(plan)
    goal = plan.suite.goal
    by = "" if goal in (None, TuningGoal.DECODE) else f" by their {NAMES[goal]}"
    return [
        f"{counted(len(plan.measured), 'arm')}, of which the first round has "
        f"{len(first)}: {', '.join(first)}",
        f"then those that may be the best{by}, for at most {plan.suite.most_rounds} rounds and "
        f"{plan.suite.budget:g} s; a launch that has begun is ended",
    ]


def _rounds(plan: Plan) -> str:
    """'3 rounds', 'at least 3 rounds and at most 30, until it is precise to 2%'."""
    suite = plan.suite
    rounds = counted(suite.least_rounds, "round")
    if not suite.goes_on:
        return rounds
    return f"at least {rounds} and at most {suite.most_rounds}, {goal_of(suite)}"


def _size(plan: Plan, guess: Estimate) -> dict[str, float | None]:
    return {
        "launches": plan.launches,
        "trials": plan.trials,
        "requests": plan.samples,
        "estimated_s": guess.seconds,
        **(_at_most(plan, guess) if plan.suite.goes_on else {}),
    }


def _at_most(plan: Plan, guess: Estimate) -> dict[str, float | None]:
    """Launches, requests and time of the most rounds: the others are those of the least."""
    least, most = plan.suite.least_rounds, plan.suite.most_rounds
    return {
        "most_launches": plan.launches // least * most,
        "most_requests": plan.samples // least * most,
        "estimated_most_s": guess.most_s,
    }


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "setting", "compared with"):
        table.add_column(heading, overflow="fold")
    names = setting_names(plan.arms)
    for arm in plan.arms:
        baseline = "" if arm.is_baseline else arm.baseline
        if arm.impossible is not None:
            baseline = "never: it cannot work"
        table.add_row(*(Text(clean(text)) for text in (arm.id, names[arm.id], baseline)))
    return table


def _models(plan: Plan, runners: Mapping[str, Runner]) -> list[str]:
    """'mlx, beside llama.cpp: Qwen3-8B-4bit (an MLX folder), drafts by …', a line a runner."""
    lines = []
    for runner in dict.fromkeys(arm.runner for arm in plan.measured):
        own = [arm for arm in plan.measured if arm.runner == runner]
        is_beside = any(arm.counterpart is not None for arm in own)
        beside = f", beside {plan.suite.runner[0]}" if is_beside else ""
        drafts = _names(arm.draft_model for arm in own)
        models = _names(arm.model for arm in own) or "no model"
        if any(arm.as_served for arm in own):
            models = _served(runners[runner])
        line = f"{runner}{beside}: {models}"
        lines.append(f"{line}, drafts by {drafts}" if drafts else line)
    return lines


def _served(runner: Runner) -> str:
    """'the server at http://localhost:8080/v1 (llama-server b11434), acceptance from timings …'."""
    found = runner.find()
    if isinstance(found, Missing):
        return found.reason
    if found.version == UNKNOWN:
        return f"the server at {found.where}, of which nothing is known: {found.methods[0].note}"
    server = f"the server at {found.where} ({found.version})"
    return f"{server}, acceptance from: {found.acceptance_source}"


def _names(paths: Iterable[str | None]) -> str:
    found = [Path(path) for path in dict.fromkeys(paths) if path is not None]
    return ", ".join(
        f"{path.name} ({packaging.words})" if (packaging := packaging_of(path)) else path.name
        for path in found
    )
