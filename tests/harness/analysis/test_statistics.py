from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import statistics
from harness.analysis.statistics import (
    geometric_mean_estimate,
    is_proven_gain,
    median,
    median_estimate,
)

POSITIVE = st.floats(min_value=0.01, max_value=1e4)
SEVERAL = st.lists(POSITIVE, min_size=6, max_size=12)


def mean_estimate(ratios):
    """Of ratios that come from one round."""
    return geometric_mean_estimate([ratios])


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 499)


@pytest.mark.parametrize("estimate", [median_estimate, mean_estimate])
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
    assert mean_estimate([1.0, 4.0, 2.0]).value == pytest.approx(2.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(POSITIVE, min_size=1, max_size=8))
def test_a_ratio_and_its_inverse_cancel(ratios):
    found = mean_estimate([*ratios, *(1 / ratio for ratio in ratios)])
    assert found.value == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(SEVERAL)
def test_intervals_hold_their_estimate_and_repeat(values):
    for estimate in (median_estimate, mean_estimate):
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
        assert interval.low in values
        assert interval.high in values


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Tables of the sign test: with 9 values the smallest and the largest can be spared, and so on.
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10), (20, 6, 15)],
)
def test_a_median_interval_ends_at_the_values_of_the_sign_test(count, low, high):
    interval = median_estimate([float(n) for n in range(count, 0, -1)]).interval
    assert (interval.low, interval.high) == (low, high)


def test_the_interval_narrows_with_more_values():
    draw = random.Random(1)
    values = [math.exp(draw.gauss(0, 0.1)) for _ in range(100)]
    few = mean_estimate(values[:10]).interval
    many = mean_estimate(values).interval
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_three_ratios_cover_as_often_as_claimed():
    # BCa alone covers 72% and calls 16% of equal arms faster.
    draw = random.Random(2)
    intervals = [
        mean_estimate([math.exp(draw.gauss(0, 0.05)) for _ in range(3)]).interval
        for _ in range(200)
    ]
    assert sum(1.0 in interval for interval in intervals) >= 180
    assert sum(interval.low > 1 for interval in intervals) <= 12


def test_a_median_of_few_values_has_no_interval():
    assert median_estimate([1.0, 2.0, 3.0, 4.0, 5.0]).interval is None
    assert median_estimate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).interval is not None


ROUNDS = [[1.00, 1.01], [1.10, 1.11], [1.20, 1.21]]


def test_rounds_that_differ_widen_the_interval_as_the_t_interval_of_their_means():
    means = [0.5 * (math.log(a) + math.log(b)) for a, b in ROUNDS]
    centre = sum(means) / 3
    spread = math.sqrt(sum((mean - centre) ** 2 for mean in means) / 2 / 3)
    interval = geometric_mean_estimate(ROUNDS).interval
    # 4.3027: Student's t for 95% and 2 degrees of freedom.
    assert interval.high == pytest.approx(math.exp(centre + 4.3027 * spread), rel=1e-5)
    assert interval.low == pytest.approx(math.exp(centre - 4.3027 * spread), rel=1e-5)


def test_two_rounds_have_the_interval_of_their_ratios():
    flat = mean_estimate([ratio for one in ROUNDS[:2] for ratio in one])
    assert geometric_mean_estimate(ROUNDS[:2]) == flat
    assert flat.interval is not None
    assert geometric_mean_estimate([[], *ROUNDS[:2], []]) == flat


def test_a_higher_confidence_reaches_farther():
    usual = geometric_mean_estimate(ROUNDS).interval
    wide = geometric_mean_estimate(ROUNDS, 0.99).interval
    assert wide.low < usual.low < usual.high < wide.high


def test_a_gain_is_harder_to_prove_for_the_best_of_many():
    rounds = [[1.05, 1.06], [1.07, 1.08], [1.06, 1.05]]
    assert is_proven_gain(rounds, 1)
    assert not is_proven_gain(rounds, 50)
    assert not is_proven_gain([[1.5, 1.6]], 1)


def share_of_false_winners(luck, *, settings=6, rounds=3, prompts=4, runs=120):
    """Runs in which a setting that gains nothing wins; `luck` is by launch, the noise is 1."""
    draw = random.Random(f"winners/{luck}")

    def launches():
        lucks = [draw.gauss(0, luck) for _ in range(rounds)]
        return [[draw.gauss(one, 1) for _ in range(prompts)] for one in lucks]

    def ratios(plain):
        return [
            [math.exp(0.01 * (a - b)) for a, b in zip(one, other, strict=True)]
            for one, other in zip(launches(), plain, strict=True)
        ]

    won = 0
    for _ in range(runs):
        plain = launches()
        won += any(is_proven_gain(ratios(plain), settings) for _ in range(settings))
    return won / runs


@pytest.mark.parametrize("luck", [0.0, 1.0])
def test_the_best_of_six_settings_that_gain_nothing_rarely_wins(luck, monkeypatch):
    # Each pair taken as independent, and each setting as the only one, 11% and 37% won.
    monkeypatch.setattr(statistics, "RESAMPLES", 199)
    assert share_of_false_winners(luck) <= 0.05
