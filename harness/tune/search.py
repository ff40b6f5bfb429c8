"""Which candidates to measure next, and when enough is known.

Pure over what was measured so far, so that a tuning that was interrupted goes on as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from harness.analysis.statistics import LEAST_ROUNDS, Interval
from harness.suite import MOST_FOR_TUNING
from harness.tune.curve import Belief, Point
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.request import curve_of_requests
from harness.tune.space import Space

EQUAL = 0.02
"""Speed-ups nearer than this are one."""
REGRET = 0.007
"""Expected loss, as a share, by not taking another setting: for less, nobody measures on. A third
of `EQUAL`, so that a loss of more than that is rare."""
GUESS, GUESSED = 0.04, 3
"""How much a speed-up differs from round to round, until so many rounds tell."""
RIVALS = 2
"""That are measured beside the best in one round."""
ERROR_RATE = 0.025
"""Of the claim that a setting is faster than plain: one side of a 95% interval, shared by all
settings of a workload of which the best was picked."""

CLEAR = 2.5
"""Errors, by the noise that all settings share, that a proven gain is above nothing at least. Of
tunings in which nothing is faster than plain, some 6% would claim a gain without it, and at most 2%
do with it (tests/harness/tune/test_search.py)."""


@dataclass(frozen=True)
class Measure:
    """The next round: plain decoding and these arms."""

    arms: tuple[str, ...]


class Outcome(Enum):
    """What is known of the best setting; the value is how a card says it."""

    FASTER = "faster than plain"
    PLAIN = "plain is best"
    UNPROVEN = "no setting proven faster"


@dataclass(frozen=True)
class Pick:
    """What is best for one workload."""

    workload: str
    outcome: Outcome
    arm: str
    """`PLAIN` where that is best; of an unproven outcome the best guess."""
    speedup: float | None
    """Of the fastest setting; None where none was measured."""
    interval: Interval | None
    alike: tuple[str, ...]
    """Settings that were measured and cannot be told apart from it, the likeliest first."""


@dataclass(frozen=True)
class Done:
    """Nothing more is worth measuring; a pick for each workload."""

    picks: tuple[Pick, ...]


def next_step(space: Space, evidence: Evidence, *, out_of_time: bool = False) -> Measure | Done:
    """Go on with a round, or end."""
    rounds = max((evidence.rounds(PLAIN, workload) for workload in space.workloads), default=0)
    if rounds == 0 and space.candidates and not out_of_time:
        return Measure(_anchors(space))
    noise = round_noise(space, evidence)
    wanted = dict.fromkeys(
        arm for workload in space.workloads for arm in _wanted(space, evidence, workload, noise)
    )
    if out_of_time or rounds >= MOST_FOR_TUNING or not wanted:
        return Done(tuple(_pick(space, evidence, workload, noise) for workload in space.workloads))
    return Measure(tuple(wanted))


def _anchors(space: Space) -> tuple[str, ...]:
    """The lengths that tell most of a family: its longest, and one of its shorter ones."""
    found: dict[str, None] = {}
    for family in space.families.values():
        found[family[len(family) // 3].arm] = None
        found[family[-1].arm] = None
    return tuple(found)


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
    """Arm -> what is known of it on a workload, by its own rounds and by its family's curve."""
    found: dict[str, Belief] = {}
    for family in space.families.values():
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
        held = curve_of_requests(points, rates, lengths, before, plain)
        for one in family:
            if (belief := held.get(one.draft_tokens)) is not None:
                measured = rounds.get(one.draft_tokens, 0)
                found[one.arm] = Belief(belief.mean, belief.error, measured)
    return found


def _gain(rival: Belief, best: Belief) -> float:
    """What taking the rival in place of the best would win in expectation, if both were known.

    The expected improvement of Mockus (1975) and Jones, Schonlau and Welch (1998, Journal of
    Global Optimization 13:455), of a normal difference.
    """
    error = math.hypot(rival.error, best.error)
    z = (rival.mean - best.mean) / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return error * (density + z * (1 + math.erf(z / math.sqrt(2))) / 2)


def _wanted(space: Space, evidence: Evidence, workload: str, noise: float) -> list[str]:
    """Arms that a further round should measure for this workload; none: it is decided."""
    untold = _untold(space, evidence, workload)
    if untold:
        return untold
    known = beliefs(space, evidence, workload, noise)
    measured = [arm for arm, belief in known.items() if belief.rounds]
    if not measured:
        return []
    best = max(measured, key=lambda arm: known[arm].mean)
    top = known[best]
    to_beat = top if top.mean > 0 else Belief(0.0, 0.0)
    gains = {arm: _gain(belief, to_beat) for arm, belief in known.items() if arm != best}
    rivals = [
        arm for arm in sorted(gains, key=gains.__getitem__, reverse=True) if gains[arm] > REGRET
    ]
    unmeasured = [arm for arm in rivals if not known[arm].rounds]
    if unmeasured:
        behind = top.mean > 0 and top.rounds < LEAST_ROUNDS
        return [unmeasured[0], *([best] if behind else [])]
    if rivals:
        return [best, *rivals[:RIVALS]]
    return [] if _is_decided(evidence, workload, best, known, noise) else [best]


def _untold(space: Space, evidence: Evidence, workload: str) -> list[str]:
    """The longest of each family that has no speed-up there, beyond which a curve says nothing; and
    a shorter one, where none has.

    Because its readings, or plain's beside them, were doubtful, because the time was over, or
    because a longer one has left.
    """
    found: dict[str, None] = {}
    for family in space.families.values():
        told = [one for one in family if evidence.speedup(one.arm, workload) is not None]
        longest = family[-1]
        if longest in told or (longest.arm, workload) in space.silent:
            continue
        found[longest.arm] = None
        if not told:
            found[family[len(family) // 3].arm] = None
    return list(found)


def _is_decided(
    evidence: Evidence,
    workload: str,
    arm: str,
    known: Mapping[str, Belief],
    noise: float,
) -> bool:
    """The best is proven faster than plain, or cannot be so by as much as anybody would notice."""
    hopeless = known[arm].mean + 2 * known[arm].error < math.log1p(EQUAL)
    measured = sum(belief.rounds > 0 for belief in known.values())
    return hopeless or is_proven(evidence, workload, arm, measured, noise)


def is_proven(evidence: Evidence, workload: str, arm: str, picked_from: int, noise: float) -> bool:
    """Whether a setting, the best of so many, is faster than plain with its whole interval.

    And by `CLEAR` errors of the noise of all settings: of several that are looked at after each
    round, one has rounds so much alike by chance that its own interval is too short.
    """
    effect = evidence.speedup(arm, workload)
    interval = None if effect is None else effect.interval(1 - 2 * ERROR_RATE / picked_from)
    if effect is None or interval is None:
        return False
    return interval.low > 1 and math.log(effect.ratio) > CLEAR * noise / math.sqrt(effect.rounds)


def _pick(space: Space, evidence: Evidence, workload: str, noise: float) -> Pick:
    known = beliefs(space, evidence, workload, noise)
    ranked = sorted(
        (arm for arm, belief in known.items() if belief.rounds),
        key=lambda arm: known[arm].mean,
        reverse=True,
    )
    effect = evidence.speedup(ranked[0], workload) if ranked else None
    if effect is None:
        return Pick(workload, Outcome.UNPROVEN, PLAIN, None, None, ())
    best = ranked[0]
    outcome = Outcome.UNPROVEN
    if is_proven(evidence, workload, best, len(ranked), noise):
        outcome = Outcome.FASTER
    elif known[best].mean + 2 * known[best].error < math.log1p(EQUAL):
        # Of a family without a speed-up nobody knows.
        outcome = Outcome.UNPROVEN if _untold(space, evidence, workload) else Outcome.PLAIN
    is_guess = outcome is Outcome.UNPROVEN and known[best].mean > 0
    return Pick(
        workload=workload,
        outcome=outcome,
        arm=best if is_guess or outcome is Outcome.FASTER else PLAIN,
        speedup=effect.ratio,
        interval=effect.interval(1 - 2 * ERROR_RATE),
        alike=tuple(arm for arm in ranked[1:] if _are_alike(known[arm], known[best])),
    )


def _are_alike(one: Belief, other: Belief) -> bool:
    return abs(one.mean - other.mean) < 2 * math.hypot(one.error, other.error)
