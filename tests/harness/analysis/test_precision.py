from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.doubt.judge import judge
from harness.analysis.precision import Exactness, least_exact, rate_over_rounds
from harness.analysis.summary import summarise
from harness.goal import of_precision
from harness.records import Arm, Sample
from harness.run_folder import RunData
from tests.harness.builders import make_arm, make_launch, make_run, make_samples

PLAIN, SLOW, FAST = make_arm(), make_arm("draft-model", 2), make_arm("draft-model", 4)
PROMPTS = ("p1", "p2")


def samples_of(arm: Arm, rates: Sequence[float], **place: object) -> list[Sample]:
    return make_samples(arm, rates, prompts=PROMPTS, **place)  # type: ignore[arg-type]


def exactness(run: RunData, *without: str) -> Exactness | None:
    return least_exact(run, summarise(run), judge(run), without=without)


def test_the_widest_interval_of_a_speed_up_counts() -> None:
    steady, unsteady = [150.0, 151.0] * 4, [200.0, 220.0, 230.0, 180.0] * 2
    plain = samples_of(PLAIN, [100.0, 99.0] * 4)
    run = make_run(
        (PLAIN, SLOW, FAST), [*plain, *samples_of(SLOW, steady), *samples_of(FAST, unsteady)]
    )
    found = exactness(run)
    rows = {row.arm.id: row for row in summarise(run)}
    assert found is not None
    assert (found.setting, found.workload) == (rows[FAST.id].setting, "coding")
    speedup = rows[FAST.id].speedup
    assert speedup is not None
    assert speedup.interval is not None
    half = (speedup.interval.high - speedup.interval.low) / 2
    assert found.half_width == pytest.approx(half / speedup.value)
    # Without the arm that is not launched any more it is the other one; plain is not asked itself.
    other = exactness(run, FAST.id)
    assert other is not None
    assert other.setting == rows[SLOW.id].setting
    assert other.within(found.half_width or 0)


def test_every_workload_counts() -> None:
    noisy = [140.0, 160.0] * 4
    samples = [
        *samples_of(PLAIN, [100.0] * 8),
        *samples_of(SLOW, [149.0, 151.0] * 4),
        *samples_of(PLAIN, [100.0] * 8, workload="prose"),
        *samples_of(SLOW, noisy, workload="prose"),
    ]
    found = exactness(make_run((PLAIN, SLOW), samples))
    assert found is not None
    assert found.workload == "prose"


def test_plain_alone_is_as_exact_as_its_rounds_are_alike() -> None:
    # Prompts that differ twofold are no noise: the same prompts are asked in every round.
    rates = [100.0, 50.0, 101.0, 50.5, 99.0, 49.5, 100.0, 50.0]
    found = exactness(make_run((PLAIN,), samples_of(PLAIN, rates)))
    assert found is not None
    assert found.half_width is not None
    assert 0 < found.half_width < 0.02
    assert found.within(0.02)


def test_a_failed_arm_is_left_out_and_plain_counts_in_its_place() -> None:
    plain = samples_of(PLAIN, [100.0, 90.0] * 3)
    launches = [make_launch(PLAIN), make_launch(SLOW, status="failed", reason="no such option")]
    found = exactness(make_run((PLAIN, SLOW), plain, launches=launches))
    assert found is not None
    assert found.setting == "plain"


def test_nothing_that_could_be_more_exact_is_reached() -> None:
    failed = [
        sample.model_copy(update={"status": "failed", "decode_rate": None, "reason": "HTTP 500"})
        for sample in samples_of(PLAIN, [1.0] * 6)
    ]
    assert exactness(make_run((PLAIN,), failed)) is None
    assert of_precision(None, 0.02).reached


def test_too_few_values_are_not_exact() -> None:
    samples = [*samples_of(PLAIN, [100.0, 99.0]), *samples_of(SLOW, [150.0, 160.0])]
    found = exactness(make_run((PLAIN, SLOW), samples))
    assert found is not None
    assert found.half_width is None
    assert not found.within(0.99)
    assert of_precision(found, 0.99).words.endswith("at no interval yet of ±99%")


@settings(max_examples=30, deadline=None)
@given(
    levels=st.lists(st.floats(1, 1000), min_size=1, max_size=4),
    noise=st.lists(st.floats(0.9, 1.1), min_size=3, max_size=6),
)
def test_how_much_prompts_differ_says_nothing_of_how_exact_rates_are(
    levels: list[float], noise: list[float]
) -> None:
    prompts = [f"p{number}" for number in range(len(levels))]
    rates = [level * factor for factor in noise for level in levels]
    found = rate_over_rounds(make_samples(PLAIN, rates, prompts=prompts))
    assert found is not None
    assert found.value == pytest.approx(1)
    # Noise of 10% at most, and an interval as Student's t widens it for three values.
    if found.interval is not None:
        assert found.interval.high / found.interval.low < 2


def test_prompts_that_few_rounds_have_make_no_rate_exact() -> None:
    """What is left out as doubtful leaves rounds that lack prompts, of one arm or of another."""
    rates = [100.0, 95.0, 105.0, 97.0, 103.0, 100.0]
    whole = make_samples(PLAIN, [rate for rate in rates for _ in "abcd"], prompts="abcd")
    # Each prompt in two rounds of six; and each in one alone.
    pairs = [s for s in whole if s.round % 3 == "abcd".index(s.prompt) % 3]
    alone = [s for s in whole if s.round == 1 + "abcd".index(s.prompt)]
    full, thinned = rate_over_rounds(whole), rate_over_rounds(pairs)
    assert full is not None
    assert full.interval is not None
    assert thinned is not None
    assert thinned.interval is not None
    assert thinned.interval.high / thinned.interval.low > full.interval.high / full.interval.low
    nothing = rate_over_rounds(alone)
    assert nothing is not None
    assert nothing.interval is None
    assert nothing.count == 4
