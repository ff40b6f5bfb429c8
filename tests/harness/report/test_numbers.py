from __future__ import annotations

import pytest

from harness.analysis.statistics import Estimate, Interval
from harness.report import numbers


@pytest.mark.parametrize(
    ("value", "text"), [(162.64, "162.6"), (41.27, "41.3"), (6.723, "6.72"), (0.5, "0.50")]
)
def test_rates(value, text):
    assert numbers.rate(value) == text


def test_an_interval_has_the_decimals_of_its_value():
    assert numbers.rate_estimate(Estimate(10.04, Interval(9.876, 10.26), 5)) == "10.0 [9.9, 10.3]"
    assert numbers.speedup(Estimate(1.316, Interval(1.25, 1.4), 5)) == "1.32x [1.25, 1.40]"
    assert numbers.speedup(Estimate(1.316, None, 2)) == "1.32x"


@pytest.mark.parametrize(
    ("value", "text"),
    [(3_820_000_000, "3.82 GB"), (24_500_000, "24.5 MB"), (10_000, "10.0 kB"), (12, "12 B")],
)
def test_sizes(value, text):
    assert numbers.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "12 ms"), (1.234, "1.2 s"), (812.4, "812 s"), (0, "0 ms")]
)
def test_seconds(value, text):
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.6123, "61.2%"), (1.0, "100%"), (0.9999, "100%"), (0.0, "0.0%")]
)
def test_percentages(value, text):
    assert numbers.percent(value) == text
