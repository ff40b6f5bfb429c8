from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.effect import Values, effect
from harness.analysis.power import rounds_needed, smallest_change

FEW = settings(max_examples=40, deadline=None)
RATES = st.floats(1, 100)
VALUES = st.dictionaries(
    st.integers(1, 12), st.dictionaries(st.sampled_from("abc"), RATES, min_size=1), min_size=1
)


def drawn(rng: random.Random, rounds: int, centre: float = 50, prompts: str = "ab") -> Values:
    return {
        number: {p: centre * math.exp(rng.gauss(0, 0.05)) for p in prompts}
        for number in range(rounds)
    }


def means(values: Values) -> list[float]:
    return [sum(map(math.log, one.values())) / len(one) for one in values.values()]


@FEW
@given(VALUES, VALUES, st.booleans())
def test_swapping_the_sides_inverts_it(one: Values, other: Values, paired: bool) -> None:
    there, back = effect(one, other, paired=paired), effect(other, one, paired=paired)
    if there is None or back is None:
        assert there is back
        return
    assert there.ratio * back.ratio == pytest.approx(1)
    first, second = there.interval(0.95), back.interval(0.95)
    assert (first is None) == (second is None)
    if first and second and second.high < 1e100 and first.high < 1e100:
        assert first.low * second.high == pytest.approx(1, rel=1e-6)


@FEW
@given(VALUES, VALUES, st.booleans(), st.floats(0.1, 10))
def test_scaling_a_side_scales_the_ratio(
    one: Values, other: Values, paired: bool, factor: float
) -> None:
    scaled = {n: {p: v * factor for p, v in of.items()} for n, of in other.items()}
    before, after = effect(one, other, paired=paired), effect(one, scaled, paired=paired)
    assert (before is None) == (after is None)
    if before and after:
        assert after.ratio == pytest.approx(before.ratio * factor)


@FEW
@given(VALUES, VALUES, st.booleans())
def test_the_order_of_prompts_is_nothing(one: Values, other: Values, paired: bool) -> None:
    turned = {n: dict(reversed(list(of.items()))) for n, of in other.items()}
    before, after = effect(one, other, paired=paired), effect(one, turned, paired=paired)
    assert (before is None) == (after is None)
    if before and after:
        assert after.ratio == pytest.approx(before.ratio)


@pytest.mark.parametrize("rounds", [3, 9])
def test_balanced_rounds_are_students(rounds: int) -> None:
    rng = random.Random(5)
    one, other = drawn(rng, rounds), drawn(rng, rounds, 55)
    for paired in (True, False):
        found = effect(one, other, paired=paired)
        assert found is not None
        interval = found.interval(0.95)
        assert interval is not None
        test = (
            stats.ttest_rel(means(other), means(one))
            if paired
            else stats.ttest_ind(means(other), means(one), equal_var=False)
        )
        expected = test.confidence_interval(0.95)
        assert math.log(interval.low) == pytest.approx(expected.low)
        assert math.log(interval.high) == pytest.approx(expected.high)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("rounds", [4, 12])
def test_the_interval_holds_the_truth_as_often_as_it_says(paired: bool, rounds: int) -> None:
    rng = random.Random(7)
    held = 0
    for _ in range(600):
        found = effect(drawn(rng, rounds), drawn(rng, rounds, 60), paired=paired)
        assert found is not None
        interval = found.interval(0.95)
        assert interval is not None
        held += 60 / 50 in interval
    # Four standard errors of 600 draws are 3.6%.
    assert 0.91 <= held / 600 <= 0.99


def test_a_round_that_lacks_a_hard_prompt_is_no_fast_one() -> None:
    whole = {n: {"easy": 100.0, "hard": 10.0} for n in range(4)}
    lacking = {**whole, 3: {"easy": 100.0}}
    for paired in (True, False):
        found = effect(whole, lacking, paired=paired)
        assert found is not None
        assert found.ratio == pytest.approx(1)


def test_what_has_nothing_in_common_has_no_effect() -> None:
    assert effect({1: {"a": 1.0}}, {1: {"b": 1.0}}, paired=True) is None
    assert effect({1: {"a": 1.0}}, {2: {"a": 1.0}}, paired=True) is None
    apart = effect({1: {"a": 1.0}}, {2: {"a": 2.0}}, paired=False)
    assert apart is not None
    assert apart.ratio == pytest.approx(2)
    assert apart.error is None
    assert apart.interval(0.95) is None


def test_smaller_changes_need_more_rounds() -> None:
    found = effect(drawn(random.Random(1), 8), drawn(random.Random(2), 8), paired=True)
    assert found is not None
    needed = [rounds_needed(found, share, 0.01) for share in (0.2, 0.1, 0.05, 0.02)]
    known = [rounds for rounds in needed if rounds is not None]
    assert known == sorted(known)
    assert len(set(known)) > 1
    stricter = rounds_needed(found, 0.05, 0.001)
    assert stricter is not None
    assert stricter > known[2]
    seen = [smallest_change(found, share, 0.01) for share in (0.02, 0.05, 0.1)]
    assert all(
        one is not None and one > share for one, share in zip(seen, (0.02, 0.05, 0.1), strict=True)
    )


@pytest.mark.parametrize(("rounds", "prompts"), [(6, "abcd"), (6, "abcdefghijkl"), (12, "abcd")])
def test_missing_prompts_do_not_make_rounds_look_alike(rounds: int, prompts: str) -> None:
    """Doubts that leave out half of the samples of either side: rounds differ as much as before."""
    rng = random.Random(11)
    wrong = told = 0
    for _ in range(600):
        luck = [rng.gauss(0, 0.05) for _ in range(rounds)]
        one, other = (
            {
                number: {
                    prompt: math.exp(shared + rng.gauss(0, 0.05))
                    for prompt in prompts
                    if rng.random() > 0.5
                }
                for number, shared in enumerate(lucks)
            }
            for lucks in ([0.0] * rounds, luck)
        )
        found = effect(one, other, paired=True)
        interval = None if found is None else found.interval(0.98)
        if interval is not None:
            told += 1
            wrong += 1 not in interval
    assert told > 400
    # 2% are allowed; three standard errors of 600 draws are 1.7%.
    assert wrong / told <= 0.037


@pytest.mark.parametrize("paired", [True, False])
def test_rounds_without_a_common_prompt_tell_no_noise(paired: bool) -> None:
    """Each prompt then equals its own mean: not a sign of quiet."""
    one = {n: {prompt: 50.0 * (1 + 0.1 * n)} for n, prompt in enumerate("abcd")}
    found = effect(one, one, paired=paired)
    assert found is not None
    assert found.error is None
    assert found.lack is not None
    assert "prompt in common" in found.lack


@pytest.mark.parametrize("far", [1e-9, 1e9])
def test_an_interval_is_finite_whatever_the_noise(far: float) -> None:
    found = effect(
        {n: {"a": 1.0} for n in range(3)},
        {0: {"a": far}, 1: {"a": 1.0}, 2: {"a": 1.0}},
        paired=True,
    )
    assert found is not None
    interval = found.interval(1 - 1e-5)
    assert interval is not None
    assert 0 < interval.low <= found.ratio <= interval.high < math.inf


def test_many_rounds_of_one_side_do_not_stand_for_those_of_the_other() -> None:
    """Rounds are needed of both: those of a long baseline hide half of the noise."""

    def needed(before: int, after: int) -> float:
        found = []
        for seed in range(30):
            rng = random.Random(seed)
            both = effect(drawn(rng, before), drawn(rng, after), paired=False)
            assert both is not None
            found.append(rounds_needed(both, 0.05, 0.01) or 0)
        return sum(found) / len(found)

    assert needed(9, 300) == pytest.approx(needed(60, 60), rel=0.2)
