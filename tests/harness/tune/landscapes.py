"""Readings of landscapes that are known, for tests of whatever chooses by them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence

from harness.tune.evidence import PLAIN, Reading
from harness.tune.space import Candidate, Space

PROMPTS = ("p1", "p2", "p3")
STEPS = 100
PLAIN_RATE = 50.0

Cost = Callable[[int], float]


def arm_of(k: int, family: str = "mtp") -> str:
    return f"{family}-k{k}"


def space(
    lengths: Iterable[int] = range(1, 9),
    workloads: Sequence[str] = ("coding",),
    families: Sequence[str] = ("mtp",),
) -> Space:
    lengths = tuple(lengths)
    return Space(
        tuple(Candidate(arm_of(k, name), name, k) for name in families for k in lengths),
        tuple(workloads),
    )


def speedup(k: int, alpha: float, cost: Cost) -> float:
    """τ in plain steps."""
    return sum(alpha**i for i in range(k + 1)) / cost(k)


def readings(
    arm: str,
    number: int,
    gain: float = 1.0,
    *,
    workload: str = "coding",
    k: int = 0,
    alpha: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> list[Reading]:
    """One launch of a round, whose speed-up is `gain`."""
    draw = random.Random(f"{seed}/{arm}/{number}/{workload}")
    accepted = tuple(round(STEPS * 1000 * alpha**i) for i in range(1, k + 1))
    return [
        Reading(
            arm=arm,
            round=number,
            workload=workload,
            prompt=prompt,
            rate=PLAIN_RATE * gain * math.exp(draw.gauss(0, noise)),
            tokens=STEPS * 1000 + sum(accepted),
            steps=STEPS * 1000,
            accepted=accepted,
        )
        for prompt in PROMPTS
    ]


def launch(k: int, number: int, alpha: float, cost: Cost, **more: float) -> list[Reading]:
    """One launch of a length of the family mtp; `more` goes to `readings`."""
    return readings(arm_of(k), number, speedup(k, alpha, cost), k=k, alpha=alpha, **more)


def plain(number: int, **more: float) -> list[Reading]:
    return readings(PLAIN, number, **more)
