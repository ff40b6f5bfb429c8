from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.speculating import speculating_of
from tests.harness.builders import make_arm, make_sample

MTP = make_arm("mtp", 3)


def sample(drafted: int, accepted: int, steps: int, tokens: int):
    return make_sample(
        MTP, drafted=drafted, accepted=accepted, steps=1 + steps, output_tokens=1 + tokens
    )


def test_a_long_answer_counts_for_its_steps_and_a_request_for_itself() -> None:
    long, short = sample(300, 270, 100, 370), sample(30, 3, 10, 13)
    found = speculating_of([long, short], 3)
    assert found.acceptance_rate == pytest.approx(273 / 330)
    assert found.acceptance_rate_of_requests == pytest.approx((0.9 + 0.1) / 2)
    assert found.acceptance_length == pytest.approx(383 / 110)
    assert found.acceptance_length_of_requests == pytest.approx((3.7 + 1.3) / 2)


def test_a_request_that_drafted_nothing_has_no_acceptance() -> None:
    found = speculating_of([sample(30, 15, 10, 25), sample(0, 0, 10, 10)], 3)
    assert found.acceptance_rate_of_requests == 0.5
    assert found.acceptance_length_of_requests == pytest.approx((2.5 + 1.0) / 2)
    nothing = speculating_of([sample(0, 0, 10, 10)], 3)
    assert nothing.acceptance_rate_of_requests is None
    untold = speculating_of([make_sample(MTP, drafted=None, steps=None)])
    assert untold.acceptance_rate_of_requests is None
    assert untold.acceptance_length_of_requests is None


@given(
    counts=st.lists(
        st.tuples(st.integers(1, 50), st.floats(0, 1)).map(
            lambda pair: (3 * pair[0], round(3 * pair[0] * pair[1]), pair[0])
        ),
        min_size=1,
        max_size=8,
    )
)
def test_both_means_lie_between_the_requests_own(counts) -> None:
    found = speculating_of([sample(d, a, steps, steps + a) for d, a, steps in counts], 3)
    own = [accepted / drafted for drafted, accepted, _ in counts]
    for rate in (found.acceptance_rate, found.acceptance_rate_of_requests):
        assert rate is not None
        assert min(own) - 1e-9 <= rate <= max(own) + 1e-9
    # Each step yields one token of the target's own.
    assert found.acceptance_length_of_requests == pytest.approx(
        sum(1 + 3 * share for share in own) / len(own)
    )


def test_equal_requests_have_one_mean() -> None:
    found = speculating_of([sample(96, 48, 32, 64)] * 3, 3)
    assert found.acceptance_rate == found.acceptance_rate_of_requests == 0.5
    assert found.acceptance_length == found.acceptance_length_of_requests == 2.0
