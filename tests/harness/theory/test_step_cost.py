from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.theory.acceptance import expected_tau
from harness.theory.step_cost import (
    best_draft_tokens,
    break_even_alpha,
    break_even_tau,
    cost_of_pass,
    cost_of_speedup,
    speedup,
    step_cost,
)

costs = st.floats(0, 2)
lengths = st.integers(1, 16)


def test_by_hand() -> None:
    assert step_cost(4, 0.05, 0.1) == pytest.approx(1.6)
    assert speedup(3.2, 4, 0.05, 0.1) == pytest.approx(2)
    assert step_cost(0, 9, 9) == 1
    # Eight rows in 6.5 and in 2.4 single steps.
    assert cost_of_pass(6.5, 8) == pytest.approx(5.5 / 7)
    assert cost_of_pass(2.4, 8) == pytest.approx(0.2)


@given(tau=st.floats(1, 5), k=st.integers(4, 16), c=costs, d=costs, more=st.floats(0, 1))
@settings(max_examples=100)
def test_dearer_steps_are_slower_and_never_beat_free_ones(
    tau: float, k: int, c: float, d: float, more: float
) -> None:
    found = speedup(tau, k, c, d)
    assert found <= tau
    assert speedup(tau, k) == tau
    assert speedup(tau, k, c + more, d) <= found
    assert speedup(tau, k, d, c) == pytest.approx(found)


@given(k=lengths, c=costs, d=costs)
@settings(max_examples=100)
def test_break_even_is_where_nothing_is_gained(k: int, c: float, d: float) -> None:
    tau, alpha = break_even_tau(k, c, d), break_even_alpha(k, c, d)
    if alpha is None:
        assert tau > k + 1
        assert speedup(k + 1, k, c, d) < 1
    else:
        assert speedup(min(tau, k + 1), k, c, d) == pytest.approx(1)
        assert speedup(expected_tau(alpha, k), k, c, d) == pytest.approx(1)


@given(alpha=st.floats(0, 1), c=costs, d=costs, longest=lengths)
@settings(max_examples=100)
def test_no_length_beats_the_best(alpha: float, c: float, d: float, longest: int) -> None:
    taus = [expected_tau(alpha, k) for k in range(1, longest + 1)]
    best = best_draft_tokens(taus, c, d)
    fastest = 1.0 if best == 0 else speedup(taus[best - 1], best, c, d)
    assert all(speedup(tau, k, c, d) <= fastest for k, tau in enumerate(taus, start=1))
    assert fastest >= 1


def test_the_best_length_at_its_limits() -> None:
    taus = [expected_tau(0.8, k) for k in range(1, 9)]
    assert best_draft_tokens(taus) == 8
    assert best_draft_tokens(taus, verify_cost=0.8) == 0
    assert 1 < best_draft_tokens(taus, verify_cost=0.1) < 8
    assert best_draft_tokens([]) == 0


@given(tau=st.floats(1, 5), k=st.integers(4, 16), c=costs, d=costs)
@settings(max_examples=100)
def test_the_cost_is_found_again(tau: float, k: int, c: float, d: float) -> None:
    assert cost_of_speedup(speedup(tau, k, c, d), tau, k) == pytest.approx(c + d, abs=1e-9)


def test_senseless_input_is_refused() -> None:
    for cost in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="verify cost"):
            step_cost(1, cost)
        with pytest.raises(ValueError, match="draft cost"):
            step_cost(1, 0, cost)
    with pytest.raises(ValueError, match="0 or more"):
        step_cost(-1)
    with pytest.raises(ValueError, match="yield"):
        speedup(3.5, 2)
    with pytest.raises(ValueError, match="positive"):
        cost_of_speedup(0, 2, 3)
    with pytest.raises(ValueError, match="without draft tokens"):
        cost_of_speedup(1.5, 1, 0)
    with pytest.raises(ValueError, match="rows"):
        cost_of_pass(1, 1)
