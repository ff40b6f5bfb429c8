"""What a curve through few draft lengths says of the others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tune.curve import LEAST_COST, Belief, Point, curve
from tests.harness.tune.landscapes import Cost, speedup

LENGTHS = tuple(range(1, 9))


def point(k: int, alpha: float, cost: Cost, error: float = 0.01) -> Point:
    gain = speedup(k, alpha, cost)
    return Point(k, gain, gain * cost(k), error)


def rates(alpha: float, k: int) -> tuple[float, ...]:
    return tuple(alpha**i for i in range(1, k + 1))


def believed(alpha: float, cost: Cost, measured: tuple[int, ...]) -> dict[int, Belief]:
    points = [point(k, alpha, cost) for k in measured]
    return curve(points, rates(alpha, max(measured)), LENGTHS)


@settings(max_examples=60)
@given(
    alpha=st.floats(0.05, 0.95),
    row=st.floats(0.0, 0.45),
    start=st.just(0.0) | st.floats(0.0, 0.3),
    near=st.integers(1, 7),
)
def test_a_line_of_costs_is_met_exactly(alpha: float, row: float, start: float, near: int) -> None:
    def cost(k: int) -> float:
        return 1 + start + row * k

    found = believed(alpha, cost, (near, 8))
    assert set(found) == set(LENGTHS)
    # A single other point is joined to plain decoding: exact where speculating costs nothing by
    # itself. A first segment so steep that it may hide a leap is not what this is about.
    if (cost(near) - 1) / near <= 0.5:
        exact = range(1, 9) if start == 0 else range(near + 1, 8)
        for k in (k for k in exact if cost(k) > LEAST_COST * cost(near)):
            assert math.exp(found[k].mean) == pytest.approx(speedup(k, alpha, cost), rel=1e-6)


def test_a_measured_length_is_more_certain_than_one_that_was_not() -> None:
    found = believed(0.8, lambda k: 1.05 + 0.1 * k, (3, 8))
    assert max(found[3].error, found[8].error) < min(found[k].error for k in (1, 2, 4, 5, 6, 7))


def test_nothing_is_believed_beyond_the_longest() -> None:
    assert set(believed(0.8, lambda k: 1.05 + 0.1 * k, (2, 5))) == {1, 2, 3, 4, 5}
    assert curve([], None, LENGTHS) == {}


def test_before_a_leap_the_gentle_slope_is_hoped_for() -> None:
    """From 6 on a step costs six times as much: 3 and 8 are measured, and 4, 5 look good."""

    def cost(k: int) -> float:
        return (1.05 + 0.08 * k) * (6 if k >= 6 else 1)

    found = believed(0.9, cost, (3, 8))
    for k in (4, 5):
        assert math.exp(found[k].mean) == pytest.approx(speedup(k, 0.9, cost), rel=0.05)
    # It cannot know on which side 6 and 7 are, so they are hoped for too, until one is measured.
    assert math.exp(found[7].mean) > 3 * speedup(7, 0.9, cost)
    after = believed(0.9, cost, (3, 6, 8))
    assert math.exp(after[7].mean) == pytest.approx(speedup(7, 0.9, cost), rel=0.1)
    assert after[7].mean < after[5].mean


def test_without_rates_a_geometric_drafter_is_met() -> None:
    def cost(k: int) -> float:
        return 1.05 + 0.1 * k

    told = believed(0.7, cost, (3, 8))
    untold = curve([point(k, 0.7, cost) for k in (3, 8)], None, LENGTHS)
    for k in LENGTHS:
        assert untold[k].mean == pytest.approx(told[k].mean, abs=1e-3)


def test_points_off_the_line_make_it_less_certain() -> None:
    straight = believed(0.8, lambda k: 1.05 + 0.2 * k, (2, 4, 6, 8))
    bent = believed(0.8, lambda k: 1.05 + 0.2 * k + (0.15 if k == 4 else 0.0), (2, 4, 6, 8))
    assert bent[5].error > 1.5 * straight[5].error


def test_a_measurement_is_steadied_by_the_others() -> None:
    def cost(k: int) -> float:
        return 1.05 + 0.1 * k

    lucky = point(4, 0.8, cost)
    lucky = Point(4, 1.1 * lucky.speedup, lucky.length, 0.05)
    others = [point(k, 0.8, cost, 0.01) for k in (2, 6, 8)]
    found = curve([lucky, *others], rates(0.8, 8), LENGTHS)[4]
    assert math.log(speedup(4, 0.8, cost)) < found.mean < math.log(lucky.speedup)
    assert found.error < 0.05


def test_what_no_line_comes_near_stands_as_it_was_measured() -> None:
    """As where a machine is much noisier than anybody knows yet."""
    points = [Point(2, 0.64, 1.4, 0.04), Point(4, 0.98, 1.5, 0.04), Point(12, 0.64, 1.6, 0.04)]
    found = curve(points, None, (2, 4, 12))[4]
    assert found == Belief(math.log(0.98), 0.04)


def test_a_geometric_drafter_on_a_line_of_costs_goes_on_as_it_does() -> None:
    """Where more than the curve is asked: with a wider error the further it is."""

    def cost(k: int) -> float:
        return 1 + 0.15 * k

    points = [point(k, 0.8, cost) for k in (2, 4)]
    found = curve(points, rates(0.8, 4), LENGTHS, further=True)
    assert set(found) == set(LENGTHS)
    for k in (5, 6, 8):
        assert math.exp(found[k].mean) == pytest.approx(speedup(k, 0.8, cost), rel=1e-6)
    assert found[4].error < found[5].error < found[8].error
    none = curve([Point(4, 0.9, 1.0, 0.01)], (0.0,) * 4, LENGTHS, further=True)
    assert all(math.isfinite(belief.mean) for belief in none.values())
