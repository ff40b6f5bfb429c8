from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.theory.ceiling import Reads, decode_ceiling, speculative_ceiling
from harness.theory.step_cost import speedup

sizes = st.floats(1, 1e12)
shares = st.floats(0, 1)
lengths = st.integers(1, 16)


def mixture(active: float, more: float) -> Reads:
    """128 experts of which 8 are used; they are all of the active bytes and more."""
    return Reads(active, expert_bytes=16 * active * more, experts=128, experts_used=8)


@given(bandwidth=sizes, active=sizes, kv=sizes, draft=sizes, k=lengths, share=shares)
@settings(max_examples=100)
def test_of_a_dense_model_it_is_the_decode_ceiling(
    bandwidth: float, active: float, kv: float, draft: float, k: int, share: float
) -> None:
    tau = 1 + share * k
    found = speculative_ceiling(bandwidth, Reads(active, kv, draft), tau, k)
    assert found == pytest.approx(
        decode_ceiling(bandwidth, active, kv, 1, tau=tau, draft_tokens=k, draft_active_bytes=draft)
    )


def test_without_draft_tokens_it_is_plain() -> None:
    for reads in (Reads(80, 20, 7), mixture(100, 0.9)):
        assert speculative_ceiling(1000, reads, 1, 0) == 10
        # Costs of rows and drafts that are not there do not matter.
        assert speculative_ceiling(1000, reads, 1, 0, verify_cost=9, draft_cost=9) == 10


@given(active=sizes, more=shares, k=lengths, share=shares)
@settings(max_examples=100)
def test_experts_only_cost_and_never_more_than_all_of_them(
    active: float, more: float, k: int, share: float
) -> None:
    tau = 1 + share * k
    reads = mixture(active, more)
    dense = speculative_ceiling(1e12, Reads(active), tau, k)
    found = speculative_ceiling(1e12, reads, tau, k)
    assert found <= dense * (1 + 1e-9)
    everything = active + reads.expert_bytes * 120 / 128
    assert found >= tau * 1e12 / everything * (1 - 1e-9)
    assert reads.of_pass(k + 1) <= reads.of_pass(k + 2) * (1 + 1e-9)


def test_experts_by_hand() -> None:
    # 2 of 8 experts, two rows: 8 x (1 - 0.75^2) = 3.5 experts of 10 bytes, and 60 bytes beside.
    reads = Reads(80, expert_bytes=80, experts=8, experts_used=2)
    assert speculative_ceiling(950, reads, 2, 1) == pytest.approx(20)


@given(active=sizes, k=lengths, share=shares, c=st.floats(0, 2), d=st.floats(0, 2))
@settings(max_examples=100)
def test_costs_that_rule_give_the_speedup_of_the_cost_model(
    active: float, k: int, share: float, c: float, d: float
) -> None:
    tau = 1 + share * k
    found = speculative_ceiling(1e12, Reads(active), tau, k, verify_cost=c, draft_cost=d)
    assert found == pytest.approx(speedup(tau, k, c, d) * 1e12 / active)


@given(
    active=sizes,
    draft=sizes,
    more=shares,
    k=lengths,
    share=shares,
    c=st.floats(0, 2),
    d=st.floats(0, 2),
)
@settings(max_examples=100)
def test_a_cost_never_lifts_the_memorys_bound(
    active: float, draft: float, more: float, k: int, share: float, c: float, d: float
) -> None:
    tau = 1 + share * k
    reads = Reads(active, 0, draft, 16 * active * more, 128, 8)
    bound = speculative_ceiling(1e12, reads, tau, k)
    held = speculative_ceiling(1e12, reads, tau, k, verify_cost=c, draft_cost=d)
    assert held <= bound * (1 + 1e-9)


def test_a_measured_cost_and_the_bytes_are_not_added() -> None:
    # Two rows read 1.5 times as much as one; a measured cost of half a step is that same reading.
    reads = Reads(60, expert_bytes=80, experts=8, experts_used=2)
    assert reads.of_pass(2) == pytest.approx(75)
    assert speculative_ceiling(750, reads, 2, 1, verify_cost=0.25) == pytest.approx(20)


@pytest.mark.parametrize(
    ("bandwidth", "reads", "tau", "k"),
    [
        (0, Reads(1), 1, 0),
        (-1, Reads(1), 1, 0),
        (math.nan, Reads(1), 1, 0),
        (1, Reads(0), 1, 0),
        (1, Reads(-1), 1, 0),
        (1, Reads(1, -1), 1, 0),
        (1, Reads(1, 0, -1), 1, 0),
        (1, Reads(1), 0.9, 0),
        (1, Reads(1), 3.1, 2),
        (1, Reads(1), math.nan, 2),
    ],
)
def test_senseless_input_is_refused(bandwidth: float, reads: Reads, tau: float, k: int) -> None:
    with pytest.raises(ValueError, match=r"must|yield"):
        speculative_ceiling(bandwidth, reads, tau, k)
