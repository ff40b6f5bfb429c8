"""The cheapest of the best settings, and one for all workloads."""

from __future__ import annotations

import pytest

from harness.tune.evidence import PLAIN, Evidence, Reading
from harness.tune.recommend import recommended, shared
from harness.tune.search import Done, Outcome, Pick, next_step
from harness.tune.space import Candidate, Space
from tests.harness.tune.landscapes import readings

SETTINGS = {"short-k2": 2, "long-k6": 6}


def space(workloads: tuple[str, ...]) -> Space:
    return Space(tuple(Candidate(arm, arm, k) for arm, k in SETTINGS.items()), workloads)


def picks_of(
    gains: dict[str, tuple[float, float]], noise: float = 0.004, rounds: int = 5
) -> tuple[Space, Evidence, tuple[Pick, ...]]:
    """Workload -> the speed-ups of the short and of the long setting."""
    found: list[Reading] = []
    for number in range(1, rounds + 1):
        for workload, both in gains.items():
            found += readings(PLAIN, number, workload=workload, noise=noise)
            for arm, gain in zip(SETTINGS, both, strict=True):
                found += readings(arm, number, gain, workload=workload, noise=noise)
    within, evidence = space(tuple(gains)), Evidence(found)
    step = next_step(within, evidence, out_of_time=True)
    assert isinstance(step, Done)
    return within, evidence, step.picks


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        ((1.5, 1.5), "short-k2"),
        ((1.5, 1.505), "short-k2"),
        ((1.4, 1.5), "long-k6"),
        ((0.9, 1.5), "long-k6"),
        ((0.8, 0.9), PLAIN),
    ],
)
def test_of_those_that_cannot_be_told_apart_the_shorter_draft(
    gains: tuple[float, float], wanted: str
) -> None:
    within, evidence, (pick,) = picks_of({"coding": gains})
    assert recommended(within, evidence, pick) == wanted


def test_what_is_not_proven_is_not_recommended() -> None:
    within, evidence, (pick,) = picks_of({"coding": (1.05, 1.06)}, noise=0.2)
    assert pick.outcome is Outcome.UNPROVEN
    assert pick.arm != PLAIN
    assert recommended(within, evidence, pick) == PLAIN
    assert shared(within, evidence, (pick,)).arm == PLAIN


def test_one_for_all_loses_least_where_it_loses_most() -> None:
    gains = {"coding": (1.6, 2.0), "prose": (1.5, 1.0)}
    found = shared(*picks_of(gains))
    # 20% below the best of coding, against 33% below the best of prose.
    assert (found.arm, found.worst) == ("short-k2", "coding")
    assert found.regret == pytest.approx(0.2, abs=0.02)


def test_plain_may_lose_least() -> None:
    gains = {"coding": (1.02, 1.1), "prose": (0.6, 0.7)}
    found = shared(*picks_of(gains))
    assert (found.arm, found.worst) == (PLAIN, "coding")
    assert found.regret == pytest.approx(1 - 1 / 1.1, abs=0.02)


def test_where_all_have_one_best_it_costs_nothing() -> None:
    found = shared(*picks_of({"coding": (1.2, 2.0), "prose": (1.1, 1.5)}))
    assert (found.arm, found.regret) == ("long-k6", 0.0)
