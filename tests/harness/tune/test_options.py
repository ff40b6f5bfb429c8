"""What is believed of combinations of options that were not measured."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tune.curve import Belief
from harness.tune.group import Axis, Options
from harness.tune.options import Setting, combined

K = 4
P, N, M = Axis("p", (0.0, 0.3, 0.6)), Axis("n", (4, 8, 16)), Axis("type", ("f16", "q8_0"))
AXES = (P, N, M)
CENTRE: Options = (0.0, 4, "f16")
ALL = list(itertools.product(*(axis.values for axis in AXES)))
STAR = [one for one in ALL if sum(a != b for a, b in zip(one, CENTRE, strict=True)) < 2]

effects = st.floats(-0.5, 0.5)


def at(options: Options, k: int = K) -> Setting:
    return (options, k)


def told(values: dict[Options, float], error: float = 0.0) -> dict[Setting, Belief]:
    return {at(one): Belief(value, error, 1) for one, value in values.items()}


@settings(max_examples=40, deadline=None)
@given(base=effects, each=st.lists(effects, min_size=5, max_size=5))
def test_where_values_only_add_up_the_star_tells_all(base: float, each: list[float]) -> None:
    made = dict(zip(((0, 0.3), (0, 0.6), (1, 8), (1, 16), (2, "q8_0")), each, strict=True))

    def truth(one: Options) -> float:
        return base + sum(made.get((axis, value), 0.0) for axis, value in enumerate(one))

    found = combined(AXES, told({one: truth(one) for one in STAR}), [at(one) for one in ALL])
    for one in ALL:
        belief = found[at(one)]
        assert belief.mean == pytest.approx(truth(one), abs=0.01)
        assert belief.error >= 0


def test_the_more_values_are_changed_the_less_is_known() -> None:
    found = combined(AXES, told(dict.fromkeys(STAR, 0.3)), [at(one) for one in ALL])
    two, three = found[at((0.3, 8, "f16"))], found[at((0.3, 8, "q8_0"))]
    assert found[at(CENTRE)].error < two.error < three.error


def test_a_measured_interaction_is_found_and_told_to_those_that_share_it() -> None:
    """Together (0.3, 8) are 0.3 better than either alone says, whatever the third value is."""
    known = told(dict.fromkeys(STAR, 0.2), 0.01)
    wanted = at((0.3, 8, "q8_0"))
    before = combined(AXES, known, [wanted])[wanted]
    after = combined(AXES, known | told({(0.3, 8, "f16"): 0.5}, 0.01), [wanted])[wanted]
    assert before.mean == pytest.approx(0.2, abs=0.01)
    assert after.mean > 0.35
    # Interactions turned out to be strong, so less is known of combinations that were not measured.
    other = at((0.6, 16, "f16"))
    weak = combined(AXES, known | told({(0.3, 8, "f16"): 0.2}, 0.01), [other])[other]
    strong = combined(AXES, known | told({(0.3, 8, "f16"): 0.5}, 0.01), [other])[other]
    assert strong.error > 2 * weak.error


def test_a_number_between_two_measured_ones_lies_between_them() -> None:
    axes = (Axis("p", (0.0, 0.1, 0.2, 0.3, 0.4)), N)
    known = told({(0.0, 4): 0.0, (0.4, 4): 0.4, (0.0, 8): 0.1})
    found = combined(axes, known, [at((0.1, 4)), at((0.2, 4)), at((0.2, 8))])
    assert found[at((0.1, 4))].mean == pytest.approx(0.1, abs=0.01)
    assert found[at((0.2, 4))].mean == pytest.approx(0.2, abs=0.01)
    assert found[at((0.2, 8))].mean == pytest.approx(0.3, abs=0.02)
    assert found[at((0.1, 4))].error < found[at((0.2, 4))].error < 0.2


def test_a_value_that_was_not_measured_and_lies_nowhere_may_be_anything() -> None:
    found = combined((M, N), told({("f16", 4): 0.2, ("f16", 8): 0.3}), [at(("q8_0", 4))])
    assert found[at(("q8_0", 4))].error > 0.5


def test_nothing_told_nothing_believed() -> None:
    assert combined(AXES, {}, [at(CENTRE)]) == {}


@settings(max_examples=40, deadline=None)
@given(
    known=st.dictionaries(
        st.tuples(st.sampled_from(ALL), st.sampled_from((1, 4, 16))),
        st.tuples(st.floats(-3, 3), st.floats(0, 2), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    ),
    order=st.randoms(use_true_random=False),
)
def test_every_belief_is_finite_and_order_is_nothing(known: dict, order) -> None:  # type: ignore[no-untyped-def, type-arg]
    beliefs = {key: Belief(*values) for key, values in known.items()}
    wanted = [(one, k) for one in ALL for k in (1, 2, 16)]
    found = combined(AXES, beliefs, wanted)
    shuffled = list(beliefs.items())
    order.shuffle(shuffled)
    axes = tuple(Axis(axis.name, tuple(reversed(axis.values))) for axis in AXES)
    again = combined(axes, dict(shuffled), list(reversed(wanted)))
    for one in wanted:
        assert math.isfinite(found[one].mean)
        assert 0 < found[one].error < 10
        assert again[one].mean == pytest.approx(found[one].mean, abs=1e-5)
        assert again[one].error == pytest.approx(found[one].error, abs=1e-5)
