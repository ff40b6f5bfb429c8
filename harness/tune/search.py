"""Which candidates to measure next, and when enough is known.

Pure over what was measured so far, so that a tuning that was interrupted goes on as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.analysis.statistics import LEAST_ROUNDS, Interval
from harness.suite import MOST_FOR_TUNING
from harness.tune.believe import beliefs, round_noise
from harness.tune.curve import Belief
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.group import anchors, groups_of
from harness.tune.space import Candidate, Space

EQUAL = 0.02
"""Speed-ups nearer than this are one."""
REGRET = 0.007
"""Expected loss, as a share, by not taking another setting: for less, nobody measures on. A third
of `EQUAL`, so that a loss of more than that is rare. On a noisy machine it is more (`_regret`)."""
GRID_ROUNDS = 5
"""Of the exhaustive sweep that a tuning is held against."""
PLAINS_SHARE = 0.5
"""Of the variance of a speed-up, what plain decoding's own luck makes."""
SHARE_OF_GRID = 0.6
"""Of its launches that a tuning makes at most, if it has more than a few settings."""
LEAST_LAUNCHES = 2 * MOST_FOR_TUNING
"""One setting beside plain decoding, in all rounds."""
WARY = 3
"""Times the error of a setting with a single round: how much rounds differ here is then a guess."""
RIVALS = 2
"""That are measured beside the best in one round."""
BATCH = 3
"""Unmeasured settings of one group in one round, each of another family: a round costs a launch of
plain decoding, and of several that promise much the first does not tell all."""
NOTHING = Belief(0.0, 0.0)
"""What plain decoding gains over itself."""
ERROR_RATE = 0.025
"""Of the claim that a setting is faster than plain: one side of a 95% interval, shared by all
settings of a workload of which the best was picked."""

CLEAR = 2.5
"""Errors, by the noise that all settings share, that a proven gain is above nothing at least. Of
tunings in which nothing is faster than plain, some 6% would claim a gain without it, and 3% do with
it (tests/harness/tune/test_search.py)."""
CLEAR_BY_FAR = 2 * CLEAR
"""Errors from which on nobody doubts that the best is faster than plain, but only which it is."""


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
    cut_off: bool = False
    """Something promised more, and rounds or launches were over."""


def next_step(space: Space, evidence: Evidence, *, out_of_time: bool = False) -> Measure | Done:
    """Go on with a round, or end."""
    rounds = max((evidence.rounds(PLAIN, workload) for workload in space.workloads), default=0)
    if rounds == 0 and space.candidates and not out_of_time:
        return Measure(tuple(dict.fromkeys(_first(space))))
    noise = round_noise(space, evidence)
    wanted = dict.fromkeys(
        arm for workload in space.workloads for arm in _wanted(space, evidence, workload, noise)
    )
    over = rounds >= MOST_FOR_TUNING or evidence.launches >= most_launches(space)
    if out_of_time or over or not wanted:
        picks = tuple(_pick(space, evidence, workload, noise) for workload in space.workloads)
        return Done(picks, cut_off=over and bool(wanted))
    return Measure(tuple(wanted))


def most_launches(space: Space) -> float:
    """After so many no round begins: where noise hides what differs, measuring on tells little."""
    return max(LEAST_LAUNCHES, SHARE_OF_GRID * GRID_ROUNDS * (1 + len(space.candidates)))


def _first(space: Space) -> Iterator[str]:
    for group in groups_of(space):
        if group.is_modelled:
            yield from group.first()
        else:
            for family in group.families.values():
                yield from anchors(family)


def _regret(noise: float) -> float:
    """Expected loss for which nobody measures on. `noise`: of a speed-up, from round to round.

    On a noisy machine it is what two equal settings promise each other after `GRID_ROUNDS` rounds
    of both, as the sweep of everything would leave it: the expected improvement of a difference
    around 0 that is as noisy as one of them, since plain decoding's luck falls out of it.
    """
    return max(REGRET, noise / math.sqrt(2 * math.pi * GRID_ROUNDS))


def _gain(rival: Belief, best: Belief, correlation: float = 0.0) -> float:
    """What taking the rival in place of the best would win in expectation, if both were known.

    The expected improvement of Mockus (1975) and Jones, Schonlau and Welch (1998, Journal of
    Global Optimization 13:455), of a normal difference.
    """
    error = _error_apart(rival, best, correlation)
    z = (rival.mean - best.mean) / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return error * (density + z * (1 + math.erf(z / math.sqrt(2))) / 2)


def _error_apart(one: Belief, other: Belief, correlation: float) -> float:
    """Standard error of their difference."""
    shared = 2 * correlation * one.error * other.error
    return math.sqrt(one.error**2 + other.error**2 - shared)


def _correlation(evidence: Evidence, workload: str, one: str, other: str) -> float:
    """Of the errors of two speed-ups: plain decoding's luck is in both, in rounds that both have. 0
    of one that was not measured."""
    common = evidence.in_common(one, other, workload)
    if not common:
        return 0.0
    rounds = evidence.rounds(one, workload) * evidence.rounds(other, workload)
    return PLAINS_SHARE * common / math.sqrt(rounds)


def _wanted(space: Space, evidence: Evidence, workload: str, noise: float) -> list[str]:
    """Arms that a further round should measure for this workload; none: it is decided."""
    untold = _untold(space, evidence, workload)
    if untold:
        return untold
    known = beliefs(space, evidence, workload, noise)
    measured = [arm for arm, belief in known.items() if belief.rounds]
    if not measured:
        return []
    # The last rounds are for proof.
    late = evidence.rounds(PLAIN, workload) >= MOST_FOR_TUNING - LEAST_ROUNDS
    best = max(measured, key=lambda arm: known[arm].mean)
    top = known[best]
    if top.mean > 0:
        gains = {
            arm: _gain(belief, top, _correlation(evidence, workload, arm, best))
            for arm, belief in known.items()
            if arm != best
        }
    else:
        gains = {arm: _gain(belief, NOTHING) for arm, belief in known.items() if arm != best}
    far = CLEAR_BY_FAR * noise / math.sqrt(top.rounds)
    regret = _regret(noise) if top.mean > far else REGRET
    rivals = [
        arm for arm in sorted(gains, key=gains.__getitem__, reverse=True) if gains[arm] > regret
    ]
    unmeasured = [arm for arm in rivals if not known[arm].rounds]
    if unmeasured and not late:
        behind = top.mean > 0 and top.rounds < LEAST_ROUNDS
        return [*_spread(space, unmeasured), *([best] if behind else [])]
    rivals = [arm for arm in rivals if known[arm].rounds]
    if rivals:
        return [best, *rivals[:RIVALS]]
    return [] if _is_decided(evidence, workload, best, known, noise) else [best]


def _spread(space: Space, arms: Sequence[str]) -> list[str]:
    """The first of them, and where families tell of each other the first of the next families."""
    family = {
        one.arm: name
        for group in groups_of(space)
        if group.is_modelled
        for one, name in group.members
    }
    if arms[0] not in family:
        return [arms[0]]
    found: dict[str, str] = {}
    for arm in arms:
        if arm in family:
            found.setdefault(family[arm], arm)
    return list(found.values())[:BATCH]


def _untold(space: Space, evidence: Evidence, workload: str) -> list[str]:
    """The longest of each family that has no speed-up there, beyond which a curve says nothing; and
    a shorter one, where none has.

    Because its readings, or plain's beside them, were doubtful, because the time was over, or
    because a longer one has left.
    """
    found: dict[str, None] = {}

    def is_told(one: Candidate) -> bool:
        told = evidence.speedup(one.arm, workload) is not None
        return told or (one.arm, workload) in space.silent

    for group in groups_of(space):
        if group.is_modelled:
            found |= dict.fromkeys(
                group.untold([one.arm for one, _ in group.members if is_told(one)])
            )
            continue
        for family in group.families.values():
            if not is_told(family[-1]):
                found[family[-1].arm] = None
                if not any(evidence.speedup(one.arm, workload) for one in family):
                    found[anchors(family)[0]] = None
    return list(found)


def _is_decided(
    evidence: Evidence,
    workload: str,
    arm: str,
    known: Mapping[str, Belief],
    noise: float,
) -> bool:
    """The best is proven faster than plain, or cannot be so by as much as anybody would notice."""
    measured = sum(belief.rounds > 0 for belief in known.values())
    return _is_hopeless(known[arm]) or is_proven(evidence, workload, arm, measured, noise)


def _is_hopeless(best: Belief) -> bool:
    """It cannot be faster by as much as anybody would notice."""
    reach = 2 * best.error * (WARY if best.rounds < 2 else 1)
    return best.mean + reach < math.log1p(EQUAL)


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
    elif _is_hopeless(known[best]):
        # Of a family without a speed-up nobody knows, and something unmeasured may be faster yet.
        rest = (belief for belief in known.values() if not belief.rounds)
        is_open = _untold(space, evidence, workload) or any(
            _gain(b, NOTHING) > REGRET for b in rest
        )
        outcome = Outcome.UNPROVEN if is_open else Outcome.PLAIN
    is_guess = outcome is Outcome.UNPROVEN and known[best].mean > 0
    return Pick(
        workload=workload,
        outcome=outcome,
        arm=best if is_guess or outcome is Outcome.FASTER else PLAIN,
        speedup=effect.ratio,
        interval=effect.interval(1 - 2 * ERROR_RATE),
        alike=tuple(
            arm
            for arm in ranked[1:]
            if _are_alike(known[arm], known[best], _correlation(evidence, workload, arm, best))
        ),
    )


def _are_alike(one: Belief, other: Belief, correlation: float) -> bool:
    return abs(one.mean - other.mean) < 2 * _error_apart(one, other, correlation)
