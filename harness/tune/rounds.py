"""Which arms each round of a tuning has: by what the rounds before it told, and by nothing else."""

from __future__ import annotations

from harness.plan import Plan
from harness.run_folder import RunData
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.readings import Known, before, read_known, space_of
from harness.tune.search import Measure, next_step
from harness.tuning_goal import TuningGoal


def arms_of_round(run: RunData, number: int) -> tuple[str, ...]:
    """Ids of the arms of a round, counted from 1, plain decoding first; none: enough is known.

    What the run holds of that round or later ones is not looked at, so that a round that was
    interrupted goes on with the arms that it had.
    """
    known = read_known(before(run, number))
    evidence = known.evidence
    if known.fault is not None or known.plain_lost or (number > 1 and not _tells(known, evidence)):
        return ()
    step = next_step(known.space, evidence)
    return (known.plain.id, *step.arms) if isinstance(step, Measure) else ()


def first_round(plan: Plan) -> tuple[str, ...]:
    """Ids of the arms of the first round of a tuning, before anything was measured."""
    arms = plan.measured
    workloads = [prompt.workload for prompt in plan.prompts]
    goal = plan.suite.goal or TuningGoal.DECODE
    step = next_step(space_of(arms, workloads, goal), Evidence(()))
    plain = next(arm.id for arm in arms if arm.is_baseline)
    return (plain, *(step.arms if isinstance(step, Measure) else ()))


def _tells(known: Known, evidence: Evidence) -> bool:
    """Whether plain decoding has rates: without, each round would be a first one again."""
    return any(evidence.rounds(PLAIN, workload) for workload in known.space.workloads)
