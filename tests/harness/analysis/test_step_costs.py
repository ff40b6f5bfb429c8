from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.step_costs import CostFit, Regime, StepCost, cost_fits, regime, step_costs
from harness.analysis.summary import summarise
from harness.records import Arm, Sample
from harness.run_folder import RunData
from harness.theory.step_cost import step_cost
from tests.harness.builders import make_arm, make_run, make_sample

PLAIN = make_arm()
TOKENS = 60
"""After the first burst: many lengths divide it."""


def plain(seconds: float, **changes: object) -> Sample:
    return make_sample(
        PLAIN,
        output_tokens=1 + TOKENS,
        decode_s=TOKENS * seconds,
        decode_rate=1 / seconds,
        **changes,
    )


def drafted(arm: Arm, seconds: float, steps: int, **changes: object) -> Sample:
    """60 tokens in so many steps of so long, each with k drafts."""
    k = arm.draft_tokens or 0
    return make_sample(
        arm,
        output_tokens=1 + TOKENS,
        decode_s=steps * seconds,
        decode_rate=TOKENS / (steps * seconds),
        steps=1 + steps,
        drafted=k * steps,
        accepted=TOKENS - steps,
        accepted_per_position=None,
        **changes,
    )


def costs_of(run: RunData) -> tuple[StepCost, ...]:
    return step_costs(run, summarise(run))


def test_a_step_is_held_against_plains_of_the_same_prompt() -> None:
    arm = make_arm("mtp", 4)
    # 30 steps of 58 ms for 60 tokens: 2.9 plain steps, and tau 2.
    run = make_run([PLAIN, arm], [plain(0.02), drafted(arm, 0.058, 30)])
    (cost,) = costs_of(run)
    assert cost.seconds == pytest.approx(0.058)
    assert cost.plain_steps == pytest.approx(2.9)
    assert cost.tau == pytest.approx(2.0)
    assert cost.rows == pytest.approx(5.0)
    assert cost.break_even_acceptance == pytest.approx(1.9 / 4)
    # What the step costs and yields is what the speed-up is made of.
    assert cost.row.speedup is not None
    assert cost.tau / cost.plain_steps == pytest.approx(cost.row.speedup.value)


def test_prompts_that_plain_has_not_are_left_out() -> None:
    arm = make_arm("mtp", 4)
    slow = drafted(arm, 1.0, 30, prompt="p2")
    failed = plain(5.0, prompt="p2", status="failed")
    run = make_run([PLAIN, arm], [plain(0.02), failed, drafted(arm, 0.02, 30), slow])
    (cost,) = costs_of(run)
    assert cost.plain_steps == pytest.approx(1.0)
    assert cost.break_even_acceptance == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"steps": None}, {"drafted": None}, {"decode_s": None}, {"steps": 1}, {"decode_s": 0.0}],
)
def test_nothing_is_said_of_steps_that_are_not_told(changes: Mapping[str, object]) -> None:
    arm = make_arm("mtp", 4)
    sample = drafted(arm, 0.05, 30).model_copy(update=dict(changes))
    assert costs_of(make_run([PLAIN, arm], [plain(0.02), sample])) == ()


def test_steps_that_hardly_draft_need_no_acceptance() -> None:
    arm = make_arm("ngram-mod", 4)
    sample = drafted(arm, 0.021, 60).model_copy(update={"drafted": 3, "accepted": 3})
    (cost,) = costs_of(make_run([PLAIN, arm], [plain(0.02), sample]))
    assert cost.break_even_acceptance is None


def fitted(points: Mapping[int, float], step_s: float = 0.02) -> tuple[CostFit, ...]:
    """Plain steps of a step at each draft length, measured."""
    arms = [make_arm("mtp", k) for k in points]
    samples = [plain(step_s)]
    samples += [
        drafted(arm, step_s * cost, 30) for arm, cost in zip(arms, points.values(), strict=True)
    ]
    return cost_fits(costs_of(make_run([PLAIN, *arms], samples)))


@given(
    st.floats(0, 2),
    st.floats(0, 1),
    st.lists(st.integers(1, 12), min_size=2, max_size=5, unique=True),
)
def test_the_line_finds_what_the_theory_put_in(
    verify: float, draft: float, lengths: list[int]
) -> None:
    (fit,) = fitted({k: step_cost(k, verify, draft) for k in lengths})
    assert fit.fixed == pytest.approx(1.0, abs=1e-6)
    assert fit.per_row == pytest.approx(verify + draft, abs=1e-6)
    assert fit.error == pytest.approx(0.0, abs=1e-6)
    assert [cost.rows for cost in fit.costs] == sorted(cost.rows for cost in fit.costs)


def test_a_cliff_shows_as_the_lines_error() -> None:
    (fit,) = fitted({1: 1.2, 2: 1.4, 3: 1.6, 4: 12.0})
    assert fit.error > 3


def test_one_length_has_no_slope() -> None:
    assert fitted({3: 1.5}) == ()


def test_lengths_that_draft_alike_have_no_slope() -> None:
    arms = [make_arm("ngram-mod", k) for k in (4, 8)]
    samples = [plain(0.02)]
    samples += [drafted(arm, 0.02, 55).model_copy(update={"drafted": 6}) for arm in arms]
    assert cost_fits(costs_of(make_run([PLAIN, *arms], samples))) == ()


def test_families_differ_in_more_than_the_length() -> None:
    arms = [make_arm(method, k) for method in ("mtp", "eagle3") for k in (1, 3)]
    samples = [plain(0.02), *(drafted(arm, 0.03 * (arm.draft_tokens or 1), 30) for arm in arms)]
    fits = cost_fits(costs_of(make_run([PLAIN, *arms], samples)))
    assert [[cost.row.arm.id for cost in fit.costs] for fit in fits] == [
        ["mtp-k1", "mtp-k3"],
        ["eagle3-k1", "eagle3-k3"],
    ]


@pytest.mark.parametrize(
    ("per_row", "share", "found"),
    [
        (0.05, 0.8, Regime.BANDWIDTH),
        (0.05, 0.3, Regime.OVERHEAD),
        (-0.01, 0.8, Regime.BANDWIDTH),
        (-0.3, 0.8, None),
        (-0.3, 0.05, None),
        (0.05, None, None),
        (0.8, 0.6, Regime.COMPUTE),
        (0.8, None, Regime.COMPUTE),
        (0.8, 0.02, Regime.OVERHEAD),
        (0.35, 0.6, Regime.BETWEEN),
    ],
)
def test_regimes(per_row: float, share: float | None, found: Regime | None) -> None:
    assert regime(CostFit((), 1.0, per_row, 0.0), share) is found


def test_speed_up_is_tau_over_cost_whatever_the_mix() -> None:
    arm = make_arm("mtp", 2)
    run = make_run(
        [PLAIN, arm],
        [
            plain(0.02),
            plain(0.04, prompt="p2"),
            drafted(arm, 0.03, 30),
            drafted(arm, 0.06, 20, prompt="p2"),
        ],
    )
    (cost,) = costs_of(run)
    total = 60 * 0.02 + 60 * 0.04
    assert math.isclose(cost.tau / cost.plain_steps, total / (30 * 0.03 + 20 * 0.06))
