from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.effect import Effect, Values, effect
from harness.gate.decide import (
    ERROR_RATE,
    THRESHOLD,
    Change,
    Decision,
    decide,
    decide_night,
    overall,
    share,
    sight,
    why_inconclusive,
)


def rounds(*ratios: float, at: float = 50.0) -> Values:
    return {number: {"p": at * ratio} for number, ratio in enumerate(ratios, start=1)}


def quiet(ratio: float, error: float = 0.0, count: int = 6) -> Effect:
    return Effect(ratio, error, count - 1, count, count, True)


@pytest.mark.parametrize(
    ("ratio", "error", "decision", "change"),
    [
        (0.90, 0.001, Decision.REGRESSED, Change.WORSE),
        (0.96, 0.001, Decision.PASSED, Change.WORSE),
        (1.00, 0.001, Decision.PASSED, Change.UNPROVEN),
        (1.10, 0.001, Decision.PASSED, Change.BETTER),
        (0.95, 0.001, Decision.INCONCLUSIVE, Change.WORSE),
        (0.90, 0.100, Decision.INCONCLUSIVE, Change.UNPROVEN),
        (1.10, 0.200, Decision.INCONCLUSIVE, Change.UNPROVEN),
        (0.95, 0.000, Decision.PASSED, Change.WORSE),
    ],
)
def test_a_rate_is_judged_by_its_whole_interval(
    ratio: float, error: float, decision: Decision, change: Change
) -> None:
    found = decide(quiet(ratio, error), 0.05, 0.01)
    assert (found.decision, found.change) == (decision, change)


@pytest.mark.parametrize(
    ("ratio", "decision", "change"),
    [
        (1.10, Decision.REGRESSED, Change.WORSE),
        (1.04, Decision.PASSED, Change.WORSE),
        (0.80, Decision.PASSED, Change.BETTER),
        (1.05, Decision.INCONCLUSIVE, Change.WORSE),
    ],
)
def test_a_latency_is_judged_the_other_way_round(
    ratio: float, decision: Decision, change: Change
) -> None:
    found = decide(quiet(ratio, 0.001), 0.05, 0.01, higher_is_worse=True)
    assert (found.decision, found.change) == (decision, change)


def test_each_side_of_an_interval_has_the_error_rate() -> None:
    found = decide(quiet(1.0, 0.01), 0.05, 0.01).interval
    assert found is not None
    # Student's t of five degrees of freedom leaves 1% above 3.365.
    assert math.log(found.high) == pytest.approx(0.03365, rel=1e-3)
    assert found.low == pytest.approx(1 / found.high)


def test_trials_share_the_error_rate() -> None:
    assert share(4) == ERROR_RATE / 4
    # Student's t of five degrees of freedom: 3.365 errors for one trial, 4.77 for four.
    slower = {n: {"p": 50 * 0.92 * math.exp(0.02 * way)} for n, way in enumerate((1, -1) * 3)}
    base = {n: {"p": 50.0} for n in range(6)}
    one = [(base, slower)]
    assert decide_night(one, paired=True, threshold=0.05) is Decision.REGRESSED
    assert decide_night(one * 8, paired=True, threshold=0.05) is Decision.INCONCLUSIVE


@pytest.mark.parametrize(
    ("rates", "others", "decision"),
    [
        (["passed", "passed"], ["inconclusive"], "passed"),
        (["passed", "inconclusive"], ["passed"], "inconclusive"),
        (["inconclusive", "regressed"], [], "regressed"),
        (["passed"], ["regressed"], "regressed"),
        (["inconclusive"], ["regressed"], "regressed"),
        ([], ["passed"], "inconclusive"),
    ],
)
def test_only_decode_rates_must_be_conclusive(
    rates: list[str], others: list[str], decision: str
) -> None:
    assert overall(map(Decision, rates), map(Decision, others)) == decision


def test_two_rounds_are_too_few_and_it_is_said() -> None:
    found = effect(rounds(1, 1), rounds(0.5, 0.5), paired=True)
    assert decide(found, 0.05, 0.01).decision is Decision.INCONCLUSIVE
    assert str(why_inconclusive(found)).startswith(
        "2 rounds measured on both sides, and 3 are needed"
    )
    assert decide(None, 0.05, 0.01).decision is Decision.INCONCLUSIVE
    assert why_inconclusive(None) == "no prompt was measured on both sides"


def test_a_change_as_large_as_the_smallest_that_could_be_seen_is_mostly_called() -> None:
    found = quiet(1.0, 0.01)
    seen = sight(found, 0.05, 0.01)
    assert seen.smallest is not None
    # 3.365 errors to be sure, 2.015 more to be lucky 95% of the time.
    assert seen.smallest == pytest.approx(1 - 0.95 * math.exp(-0.0538), rel=1e-3)
    later = sight(found, 0.05, 0.01, higher_is_worse=True)
    assert later.smallest == pytest.approx(1.05 * math.exp(0.0538) - 1, rel=1e-3)
    assert sight(None, 0.05, 0.01).smallest is None


@settings(max_examples=50, deadline=None)
@given(
    threshold=st.floats(0.01, 0.4),
    beyond=st.floats(0.05, 0.99),
    values=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.floats(1, 1e3), min_size=1),
        min_size=3,
        max_size=8,
    ),
    paired=st.booleans(),
)
def test_a_loss_without_noise_is_regressed_and_no_loss_passes(
    threshold: float, beyond: float, values: list[dict[str, float]], paired: bool
) -> None:
    # Of two runs the rounds' own noise is in the interval, so there they are all alike.
    rates = dict(enumerate(values if paired else [values[0]] * len(values)))
    factor = (1 - 2 * threshold) * beyond

    def candidate(by: float) -> Values:
        return {n: {p: by * v for p, v in one.items()} for n, one in rates.items()}

    slower = [(rates, candidate(factor))]
    same = [(rates, candidate(1))]
    assert decide_night(slower, paired=paired, threshold=threshold) is Decision.REGRESSED
    assert decide_night(same, paired=paired, threshold=threshold) is Decision.PASSED


def test_one_cold_round_does_not_end_in_a_traceback() -> None:
    """A first answer that took ten seconds, and others a twentieth of one."""
    quiet = {number: {"p": 0.05} for number in range(3)}
    found = effect(quiet, {**quiet, 0: {"p": 10.0}}, paired=True)
    seen = sight(found, THRESHOLD, ERROR_RATE / 8, higher_is_worse=True)
    assert seen.smallest is None
    assert seen.rounds is None or seen.rounds > 100
