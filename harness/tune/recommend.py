"""What to use: for each workload the cheapest of the best settings, and one for all workloads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.tune.believe import beliefs, round_noise
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.search import Outcome, Pick, is_proven
from harness.tune.space import Space

CHEAPER = 0.01
"""Of the speed-up that a shorter draft may lose against a longer one from which it cannot be told
apart. It takes less memory and fewer rows, and loses less where drafts are rejected."""


@dataclass(frozen=True)
class Shared:
    """One setting for all workloads: the one whose worst workload loses least."""

    arm: str
    """`PLAIN` where that loses least."""
    regret: float
    """Share of the speed that it loses in its worst workload, against that workload's own best."""
    worst: str
    """That workload."""


def recommended(space: Space, evidence: Evidence, pick: Pick) -> str:
    """The arm to use for a workload: a proven one, or `PLAIN`."""
    if pick.outcome is not Outcome.FASTER:
        return PLAIN
    noise = round_noise(space, evidence)
    known = beliefs(space, evidence, pick.workload, noise)
    measured = sum(belief.rounds > 0 for belief in known.values())
    drafts = {one.arm: one.draft_tokens for one in space.candidates}
    good = [
        arm
        for arm in pick.alike
        if known[arm].mean > known[pick.arm].mean - CHEAPER
        and is_proven(evidence, pick.workload, arm, measured, noise)
    ]
    return min([pick.arm, *good], key=lambda arm: drafts[arm])


def shared(space: Space, evidence: Evidence, picks: Sequence[Pick]) -> Shared:
    """What all of some workloads, one at least, can be run with.

    Of settings that were measured on each of them and are proven faster than plain on one at least.
    """
    noise = round_noise(space, evidence)
    best = {pick.workload: recommended(space, evidence, pick) for pick in picks}
    means: dict[str, dict[str, float]] = {}
    proven: set[str] = set()
    for workload in best:
        known = beliefs(space, evidence, workload, noise)
        measured = {arm: belief.mean for arm, belief in known.items() if belief.rounds}
        means[workload] = {PLAIN: 0.0, **measured}
        proven |= {
            arm for arm in measured if is_proven(evidence, workload, arm, len(measured), noise)
        }

    def loss(arm: str, workload: str) -> float:
        return max(0.0, -math.expm1(means[workload][arm] - means[workload][best[workload]]))

    def worst(arm: str) -> Shared:
        losses = {workload: loss(arm, workload) for workload in best}
        workload = max(losses, key=losses.__getitem__)
        return Shared(arm, losses[workload], workload)

    if len(set(best.values())) == 1:
        return worst(next(iter(best.values())))
    eligible = [arm for arm in proven if all(arm in known for known in means.values())]
    return min(map(worst, [PLAIN, *sorted(eligible)]), key=lambda one: one.regret)
