from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.theory.acceptance import acceptance_length, acceptance_rate, expected_length

alphas = st.floats(0, 1)
lengths = st.integers(0, 32)


def test_acceptance_rate() -> None:
    assert acceptance_rate(246, 322) == pytest.approx(0.764, abs=5e-4)
    assert acceptance_rate(0, 4) == 0
    assert acceptance_rate(0, 0) is None


@pytest.mark.parametrize(("accepted", "drafted"), [(-1, 2), (3, 2), (1, 0), (0, -1)])
def test_impossible_acceptance_is_refused(accepted: int, drafted: int) -> None:
    with pytest.raises(ValueError, match="cannot be accepted"):
        acceptance_rate(accepted, drafted)


def test_acceptance_length_is_weighted_by_steps() -> None:
    # Requests of 10 tokens in 2 steps and 2 tokens in 2 steps: 3, where their mean is also
    # (5 + 1) / 2 = 3; with 20 tokens in 4 steps it is 22 / 6, and the mean still 3.
    assert acceptance_length(10 + 2, 2 + 2) == 3
    assert acceptance_length(20 + 2, 4 + 2) == pytest.approx(22 / 6)
    assert acceptance_length(0, 0) is None
    # The last step may yield only the end of text, which is not counted.
    assert acceptance_length(4, 5) == 0.8


@pytest.mark.parametrize(("tokens", "steps"), [(-1, 1), (1, -1), (1, 0)])
def test_impossible_lengths_are_refused(tokens: int, steps: int) -> None:
    with pytest.raises(ValueError, match="no counts"):
        acceptance_length(tokens, steps)


@given(alpha=alphas, k=lengths)
@settings(max_examples=100)
def test_expected_length_is_leviathans_equation(alpha: float, k: int) -> None:
    exact = Fraction(alpha)
    want = Fraction(k + 1) if alpha == 1 else (1 - exact ** (k + 1)) / (1 - exact)
    assert expected_length(alpha, k) == pytest.approx(float(want), rel=1e-12)


@given(k=lengths)
def test_expected_length_at_its_ends(k: int) -> None:
    assert expected_length(0, k) == 1
    assert expected_length(1, k) == k + 1
    assert expected_length(1 - 1e-12, k) == pytest.approx(k + 1)


@given(alpha=alphas, beta=alphas, k=lengths)
@settings(max_examples=50)
def test_expected_length_rises_with_alpha_and_k(alpha: float, beta: float, k: int) -> None:
    low, high = sorted((alpha, beta))
    assert expected_length(low, k) <= expected_length(high, k)
    assert expected_length(alpha, k) <= expected_length(alpha, k + 1) <= k + 2


@pytest.mark.parametrize(("alpha", "k"), [(-0.1, 1), (1.1, 1), (float("nan"), 1), (0.5, -1)])
def test_senseless_expectations_are_refused(alpha: float, k: int) -> None:
    with pytest.raises(ValueError, match="no expected length"):
        expected_length(alpha, k)
