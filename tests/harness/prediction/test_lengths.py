from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prediction.lengths import Drafts, lengths_of, steps_by_accepted, tau_curve
from harness.theory.acceptance import expected_tau, geometric_rates, tau_of_rates

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=9).filter(lambda c: sum(c) > 0)


@settings(max_examples=200)
@given(COUNTS)
def test_tau_never_falls_with_k_and_stays_possible(counts: list[int]) -> None:
    taus = tau_curve(np.asarray(counts, dtype=float))
    assert len(taus) == len(counts) - 1
    assert all(before <= after for before, after in itertools.pairwise(taus))
    for k, tau in enumerate(taus, start=1):
        assert 1 <= tau <= k + 1


@settings(max_examples=100)
@given(COUNTS)
def test_the_longest_is_what_was_measured_and_none_is_below_the_rates_by_position(
    counts: list[int],
) -> None:
    total = sum(counts)
    rates = [sum(counts[position:]) / total for position in range(1, len(counts))]
    taus = tau_curve(np.asarray(counts, dtype=float))
    assert taus[-1] == pytest.approx(tau_of_rates(rates))
    for k, tau in enumerate(taus, start=1):
        assert tau >= tau_of_rates(rates[:k]) - 1e-9


@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.9])
def test_an_even_acceptance_gives_the_geometric_lengths(alpha: float) -> None:
    steps = steps_by_accepted(geometric_rates(alpha, 11), 1.0, 11)
    taus = tau_curve(np.asarray(steps))
    # Of lengths that divide the longest one evenly, both ways of counting are exact.
    for k in (1, 2, 3, 5, 11):
        assert taus[k - 1] == pytest.approx(expected_tau(alpha, k), rel=1e-6)


def test_text_that_repeats_itself_is_replayed() -> None:
    """One step in ten accepts all of 8 tokens: with 2 it takes three steps of 3 tokens each."""
    taus = tau_curve(np.asarray([9.0, 0, 0, 0, 0, 0, 0, 0, 1.0]))
    assert taus[1] == pytest.approx((9 + 9) / (9 + 3))
    assert taus[1] > 1 + 2 * 0.1, "which is all that the rates by position say"


def test_steps_by_accepted() -> None:
    assert steps_by_accepted((0.5, 0.25), 100, 3) == pytest.approx((50, 25, 25, 0))
    for shares in [(0.5, 0.6), (1.2,), (0.5, 0.4, 0.3, 0.2)]:
        with pytest.raises(ValueError, match="position"):
            steps_by_accepted(shares, 100, 3)


def drafts(prompts: int, rounds: int = 2, spread: float = 5.0) -> list[Drafts]:
    return [
        Drafts(f"p{prompt}", (40 - spread * prompt, 30, 20 + spread * prompt), 180)
        for prompt in range(prompts)
        for _ in range(rounds)
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.floats(0, 6))
def test_draws_lie_around_the_estimate(prompts: int, spread: float) -> None:
    found = lengths_of(drafts(prompts, spread=spread))
    for index, tau in enumerate(found.taus):
        draws = found.draws[:, index]
        assert 1 <= draws.min() <= tau + 1e-9
        assert tau - 1e-9 <= draws.max() <= index + 2


def test_draws_know_prompts_and_not_only_rounds() -> None:
    alike, apart = lengths_of(drafts(4, spread=0)), lengths_of(drafts(4, spread=5))
    assert np.ptp(alike.draws[:, -1]) < 1e-9 < np.ptp(apart.draws[:, -1])
    more = lengths_of([d for d in drafts(4, spread=5) for _ in range(9)])
    # Rounds that repeat each other tell nothing about other texts.
    assert np.std(more.draws[:, -1]) > 0.8 * np.std(apart.draws[:, -1])


def test_one_prompt_says_nothing_of_others() -> None:
    found = lengths_of(drafts(1))
    assert set(found.draws[:, 0]) == {1.0, 2.0}
    assert set(found.draws[:, 1]) == {1.0, 3.0}


@pytest.mark.parametrize(("prompts", "highest"), [(2, 3.0), (6, 2.0), (60, 1.1)])
def test_prompts_that_accept_nothing_do_not_speak_for_all(prompts: int, highest: float) -> None:
    found = lengths_of([Drafts(f"p{index}", (50, 0, 0), 20) for index in range(prompts)])
    assert list(found.taus) == [1, 1]
    assert found.draws[:, 1].min() == 1
    assert found.draws[:, 1].max() == pytest.approx(highest)


def test_the_same_samples_give_the_same_draws() -> None:
    assert np.array_equal(lengths_of(drafts(3)).draws, lengths_of(drafts(3)).draws)


def test_drafted_tokens() -> None:
    every = lengths_of([Drafts("p", (50, 0, 0, 0, 50), 400)])
    assert every.drafted[-1] == pytest.approx(4)
    assert all(
        tau - 1 <= d <= k
        for k, (tau, d) in enumerate(zip(every.taus, every.drafted, strict=True), 1)
    )
    none = lengths_of([Drafts("p", (100, 0, 0), 0)])
    assert list(none.drafted) == [0, 0]
    assert list(none.taus) == [1, 1]


def test_no_steps() -> None:
    with pytest.raises(ValueError, match="no decode steps"):
        lengths_of([Drafts("p", (0, 0), 0)])
