"""Speed-ups of whole requests: what a family's curve says once the prefill is set aside."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tune.curve import Point, curve
from harness.tune.evidence import MOST_BEFORE, PLAIN, Evidence, Reading
from harness.tune.request import curve_of_requests
from harness.tune.search import Measure, Outcome, next_step
from tests.harness.tune.landscapes import Cost, arm_of, readings, space, speedup

ALPHA = 0.75
LENGTHS = range(1, 9)


def tau(k: int) -> float:
    return sum(ALPHA**i for i in range(k + 1))


def decoding(k: int) -> float:
    """Plain steps per token."""
    return (1.05 + 0.25 * k) / tau(k)


def whole(k: int, prefill: float, dearer: float = 1.0) -> float:
    """Speed-up of a request of which plain's prefill takes this share; `dearer`: with drafts."""
    return 1 / (dearer * prefill + (1 - prefill) * decoding(k))


def requests(measured: tuple[int, ...], prefill: float, dearer: float = 1.0):
    points = [Point(k, whole(k, prefill, dearer), tau(k), 0.001) for k in measured]
    before = {k: dearer * prefill * whole(k, prefill, dearer) for k in measured}
    rates = tuple(ALPHA**i for i in range(1, 1 + measured[-1]))
    return points, rates, before


@pytest.mark.parametrize("dearer", [1.0, 1.4])
@pytest.mark.parametrize("prefill", [0.1, 0.5, 0.9])
def test_lengths_that_were_not_measured_are_told(prefill: float, dearer: float) -> None:
    points, rates, before = requests((3, 8), prefill, dearer)
    found = curve_of_requests(points, rates, LENGTHS, before, prefill)
    for k in LENGTHS:
        assert math.exp(found[k].mean) == pytest.approx(whole(k, prefill, dearer), rel=0.01)
    # The more of a request is prefill, the less its steps can change.
    assert found[5].error < 0.04 * (1 - prefill * dearer * whole(5, prefill, dearer)) + 0.001


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("cost", "alpha"),
    [
        (lambda k: 1.05 + 0.1 * k, 0.75),
        (lambda k: 1.05 + 0.35 * k, 0.75),
        (lambda k: (1.05 + 0.08 * k) * (6 if k >= 6 else 1), 0.9),
    ],
    ids=["cheap rows", "dear rows", "cliff at 6"],
)
@pytest.mark.parametrize("prefill", [0.5, 0.8])
def test_the_best_for_whole_requests_is_found(
    prefill: float, cost: Cost, alpha: float, seed: int
) -> None:
    def gain(k: int) -> float:
        return 1 / (prefill + (1 - prefill) / speedup(k, alpha, cost)) if k else 1.0

    found: list[Reading] = []
    number = 0
    while isinstance(step := next_step(space(), Evidence(found)), Measure):
        number += 1
        for k in (0, *(k for k in LENGTHS if arm_of(k) in step.arms)):
            arm, before = (arm_of(k) if k else PLAIN), prefill * gain(k)
            own = readings(arm, number, gain(k), k=k, alpha=alpha, noise=0.01, seed=seed)
            found += [replace(one, before=before) for one in own]
    (pick,) = step.picks
    assert pick.outcome is Outcome.FASTER
    picked = next(k for k in LENGTHS if arm_of(k) == pick.arm)
    assert gain(picked) > 0.98 * max(map(gain, LENGTHS))
    assert number < 9


def test_without_setting_the_prefill_aside_the_curve_is_far_off() -> None:
    points, rates, _ = requests((3, 8), 0.5)
    assert abs(math.exp(curve(points, rates, LENGTHS)[1].mean) / whole(1, 0.5) - 1) > 0.1


@settings(max_examples=30, deadline=None)
@given(prefill=st.floats(0, MOST_BEFORE), k=st.integers(1, 8), speedup=st.floats(0.1, 5))
def test_a_setting_measured_alone_keeps_its_own_figure(
    prefill: float, k: int, speedup: float
) -> None:
    point = Point(k, speedup, 2.0, 0.02)
    for before in (0.0, 0.4, MOST_BEFORE):
        belief = curve_of_requests([point], None, [k], {k: before}, prefill)[k]
        assert belief.mean == pytest.approx(math.log(speedup), abs=1e-9)
        assert belief.error == pytest.approx(0.02)


def test_decoding_alone_is_the_curve_itself() -> None:
    points, rates, _ = requests((2, 4, 8), 0.0)
    aside = curve_of_requests(points, rates, LENGTHS, {2: 0.0, 4: 0.0, 8: 0.0}, 0.0)
    for k, belief in curve(points, rates, LENGTHS).items():
        assert aside[k].mean == pytest.approx(belief.mean)
        assert aside[k].error == pytest.approx(belief.error)


def test_no_point_tells_nothing() -> None:
    assert curve_of_requests([], None, LENGTHS, {}, 0.3) == {}


def test_a_share_is_the_mean_of_the_requests_and_never_all_of_them() -> None:
    def of(*shares: float) -> float:
        found = [Reading(PLAIN, 1, "a", str(n), 5.0, before=x) for n, x in enumerate(shares)]
        return Evidence(found).before(PLAIN, "a")

    assert of() == 0.0
    assert of(0.2, 0.4) == pytest.approx(0.3)
    assert of(1.0, 1.0) == MOST_BEFORE
