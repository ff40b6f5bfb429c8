from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import statistics
from harness.analysis.statistics import geometric_mean_estimate, median, median_estimate

POSITIVE = st.floats(min_value=0.01, max_value=1e4)
SEVERAL = st.lists(POSITIVE, min_size=3, max_size=12)


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 499)


@pytest.mark.parametrize("estimate", [median_estimate, geometric_mean_estimate])
@pytest.mark.parametrize("values", [[2.0], [2.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
def test_no_interval_from_values_that_carry_none(estimate, values):
    found = estimate(values)
    assert found.interval is None
    assert found.count == len(values)
    assert min(values) <= found.value <= max(values)


def test_nothing_of_nothing():
    assert median([]) is None
    assert median_estimate([]) is None
    assert geometric_mean_estimate([]) is None


def test_known_values():
    assert median_estimate([1.0, 10.0, 2.0]).value == 2.0
    assert geometric_mean_estimate([1.0, 4.0, 2.0]).value == pytest.approx(2.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(POSITIVE, min_size=1, max_size=8))
def test_a_ratio_and_its_inverse_cancel(ratios):
    found = geometric_mean_estimate([*ratios, *(1 / ratio for ratio in ratios)])
    assert found.value == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(SEVERAL)
def test_intervals_hold_their_estimate_and_repeat(values):
    for estimate in (median_estimate, geometric_mean_estimate):
        found = estimate(values)
        assert found == estimate(values)
        if found.interval is not None:
            assert found.value in found.interval
            assert math.isfinite(found.interval.low)
            assert math.isfinite(found.interval.high)


@settings(max_examples=25, deadline=None)
@given(SEVERAL)
def test_a_median_interval_stays_among_the_values(values):
    interval = median_estimate(values).interval
    if interval is not None:
        # Interpolating between equal values may round.
        assert min(values) * (1 - 1e-12) <= interval.low
        assert interval.high <= max(values)


def test_degenerate_values_fall_back_to_percentiles():
    # BCa answers nan here: leaving out any one value never moves the median.
    interval = median_estimate([1.0, 1.0, 1.0, 2.0]).interval
    assert interval is not None
    assert (interval.low, interval.high) == (1.0, 2.0)


def test_the_interval_narrows_with_more_values():
    draw = random.Random(1)
    values = [math.exp(draw.gauss(0, 0.1)) for _ in range(100)]
    few = geometric_mean_estimate(values[:10]).interval
    many = geometric_mean_estimate(values).interval
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_three_ratios_cover_as_often_as_claimed():
    # BCa alone covers 72% and calls 16% of equal arms faster.
    draw = random.Random(2)
    intervals = [
        geometric_mean_estimate([math.exp(draw.gauss(0, 0.05)) for _ in range(3)]).interval
        for _ in range(200)
    ]
    assert sum(1.0 in interval for interval in intervals) >= 180
    assert sum(interval.low > 1 for interval in intervals) <= 12
