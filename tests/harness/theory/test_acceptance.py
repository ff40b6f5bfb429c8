from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.theory.acceptance import (
    alpha_of_tau,
    expected_tau,
    geometric_rates,
    rates_of_taus,
    tau_of_rates,
)

alphas = st.floats(0, 1)
lengths = st.integers(1, 16)


def test_the_limits() -> None:
    assert expected_tau(0, 5) == 1
    assert expected_tau(1, 5) == 6
    assert expected_tau(0.7, 0) == 1
    assert expected_tau(1 - 1e-15, 5) == pytest.approx(6)


@given(alpha=st.floats(0, 0.999), k=lengths)
@settings(max_examples=100)
def test_it_is_the_quotient_of_leviathan(alpha: float, k: int) -> None:
    assert expected_tau(alpha, k) == pytest.approx((1 - alpha ** (k + 1)) / (1 - alpha))


@given(alpha=alphas, k=lengths, more=st.floats(0, 1))
@settings(max_examples=100)
def test_more_acceptance_and_longer_drafts_never_yield_less(
    alpha: float, k: int, more: float
) -> None:
    tau = expected_tau(alpha, k)
    assert 1 <= tau <= k + 1
    assert tau <= expected_tau(alpha + (1 - alpha) * more, k)
    assert tau <= expected_tau(alpha, k + 1)


@given(tau_share=alphas, k=lengths)
@settings(max_examples=100)
def test_the_inverse_finds_the_alpha(tau_share: float, k: int) -> None:
    tau = 1 + tau_share * k
    assert expected_tau(alpha_of_tau(tau, k), k) == pytest.approx(tau)


@given(alpha=st.floats(0.01, 1), k=lengths)
@settings(max_examples=100)
def test_the_inverse_gives_back_what_it_came_from(alpha: float, k: int) -> None:
    assert alpha_of_tau(expected_tau(alpha, k), k) == pytest.approx(alpha, abs=1e-9)


@given(rates=st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=100)
def test_lengths_and_rates_tell_the_same(rates: list[float]) -> None:
    falling = sorted((round(rate, 6) for rate in rates), reverse=True)
    taus = [1 + math.fsum(falling[: k + 1]) for k in range(len(falling))]
    assert rates_of_taus(taus) == pytest.approx(falling)
    assert tau_of_rates(falling) == pytest.approx(taus[-1])


def test_rates_of_published_lengths() -> None:
    assert rates_of_taus([1.93, 2.73, 3.39]) == pytest.approx((0.93, 0.80, 0.66))
    assert geometric_rates(0.5, 3) == (0.5, 0.25, 0.125)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan, math.inf])
def test_no_share_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="share"):
        expected_tau(alpha, 2)
    with pytest.raises(ValueError, match="share"):
        tau_of_rates([alpha])


def test_what_no_drafter_can_do_is_refused() -> None:
    with pytest.raises(ValueError, match="never rise"):
        tau_of_rates([0.5, 0.6])
    with pytest.raises(ValueError, match=r"share|rise"):
        rates_of_taus([1.5, 1.4])
    for tau in (0.9, 4.1, math.nan):
        with pytest.raises(ValueError, match="yield"):
            alpha_of_tau(tau, 3)
    with pytest.raises(ValueError, match="nothing is accepted"):
        alpha_of_tau(1, 0)
    with pytest.raises(ValueError, match="0 or more"):
        expected_tau(0.5, -1)
