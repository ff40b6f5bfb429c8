"""What is known of every setting: by its own rounds, its family's curve, and other families."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.tune.curve import Belief, Point
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.group import Group, groups_of, hopeless
from harness.tune.options import combined
from harness.tune.request import curve_of_requests
from harness.tune.space import Candidate, Space

GUESS, GUESSED = 0.04, 3
"""How much a speed-up differs from round to round, until so many rounds tell."""
SILENT = Belief(0.0, 0.015)
"""What a setting that drafts nothing there tells of the others: it is about as fast as plain."""


def round_noise(space: Space, evidence: Evidence) -> float:
    """By how much the logarithm of a speed-up differs from round to round, over all candidates:
    a single one has too few rounds to tell."""
    squares, freedom = GUESSED * GUESS**2, float(GUESSED)
    for one in space.candidates:
        for workload in space.workloads:
            logs = evidence.logarithms(one.arm, workload)
            if len(logs) > 1:
                middle = math.fsum(logs) / len(logs)
                squares += sum((x - middle) ** 2 for x in logs)
                freedom += len(logs) - 1
    return math.sqrt(squares / freedom)


def beliefs(space: Space, evidence: Evidence, workload: str, noise: float) -> dict[str, Belief]:
    """Arm -> what is known of it on a workload, by its own rounds, by its family's curve and, where
    several options are free, by the other families."""
    found: dict[str, Belief] = {}
    for group in groups_of(space):
        curves = {
            name: _curve(family, group, evidence, workload, noise)
            for name, family in group.families.items()
        }
        if group.is_modelled:
            found |= _of_combinations(space, group, curves, evidence, workload)
            continue
        for one, name in group.members:
            if (belief := curves[name].get(one.draft_tokens)) is not None:
                found[one.arm] = belief
    return found


def _of_combinations(
    space: Space,
    group: Group,
    curves: Mapping[str, Mapping[int, Belief]],
    evidence: Evidence,
    workload: str,
) -> dict[str, Belief]:
    silent = {arm for arm, where in space.silent if where == workload}
    told = {
        (group.options[name], k): belief
        for name, own in curves.items()
        for k, belief in own.items()
    }
    for one, name in group.members:
        if one.arm in silent and not curves[name]:
            told |= {(group.options[name], k): SILENT for k in group.lengths}
    works = {one.arm for one, _ in group.members if evidence.speedup(one.arm, workload) is not None}
    mute = silent | hopeless((group,), silent, works).keys()
    settings = {
        one.arm: (group.options[name], one.draft_tokens)
        for one, name in group.members
        if one.arm not in mute
    }
    by_others = combined(group.axes, told, list(settings.values()))
    found = {arm: by_others[setting] for arm, setting in settings.items() if by_others}
    for one, name in group.members:
        own = curves[name].get(one.draft_tokens)
        if own is not None and own.rounds:
            found[one.arm] = own
    return found


def _curve(
    family: Sequence[Candidate], group: Group, evidence: Evidence, workload: str, noise: float
) -> dict[int, Belief]:
    """Draft length -> what is known of it by the family's own rounds."""
    points, rates, rounds, before = [], None, {}, {}
    for one in family:
        effect = evidence.speedup(one.arm, workload)
        if effect is None:
            continue
        error = noise / math.sqrt(effect.rounds)
        # Where steps are not told, a step is as long as if it cost a plain one.
        length = evidence.length(one.arm, workload) or max(1.0, effect.ratio)
        points.append(Point(one.draft_tokens, effect.ratio, length, error))
        rounds[one.draft_tokens] = effect.rounds
        before[one.draft_tokens] = evidence.before(one.arm, workload)
        rates = evidence.rates(one.arm, workload)
    lengths = [one.draft_tokens for one in family]
    plain = evidence.before(PLAIN, workload)
    held = curve_of_requests(points, rates, lengths, before, plain, further=group.is_modelled)
    return {k: Belief(belief.mean, belief.error, rounds.get(k, 0)) for k, belief in held.items()}
