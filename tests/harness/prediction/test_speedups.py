from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.prediction.costs import Cost
from harness.prediction.kinds import Kind
from harness.prediction.lengths import Drafts, Lengths, lengths_of
from harness.prediction.shares import PUBLISHED
from harness.prediction.speedups import Range, product, speedups
from harness.prediction.steps import Machine, step_bytes, step_times
from harness.theory.ceiling import Reads

DENSE = Reads(1e9, 1e7)
DRAFTED = Reads(1e9, 1e7, draft_bytes=1e8)
BLOCKS = Reads(1e9, 1e7, block_bytes=2e8)
EXPERTS = Reads(1e9, 1e7, expert_bytes=6.4e9, experts=64, experts_used=8)
READS = st.sampled_from([DENSE, DRAFTED, BLOCKS, EXPERTS])


def machine(*costs: Cost, bandwidth: float = 100e9, draft_cost: float | None = None) -> Machine:
    return Machine(bandwidth, PUBLISHED[Kind.NVIDIA], costs or (Cost(0.2, "a"),), draft_cost)


def lengths(*steps: float, prompts: int = 3) -> Lengths:
    drafted = (len(steps) - 1) * sum(steps)
    return lengths_of([Drafts(f"p{index}", steps, drafted) for index in range(prompts)])


def test_a_row_costs_what_its_line_says_unless_its_bytes_take_longer() -> None:
    assert step_times(machine(Cost(0.2, "")), DENSE, [1.0, 4.0]) == [pytest.approx([1.2, 1.8])]
    ((free, dear),) = step_times(machine(Cost(0.0, "")), EXPERTS, [0.0, 4.0])
    assert free == 1
    assert dear == pytest.approx(EXPERTS.of_pass(5) / EXPERTS.of_pass(1))


def test_drafting_takes_its_bytes_at_least_and_longer_where_they_are_few() -> None:
    """A ceiling of 99 tok/s, and of the drafter 1,000, where nothing above 469 is published."""
    low, high = step_times(machine(Cost(0.2, "")), DRAFTED, [2.0])
    assert low == pytest.approx([1.4 + 2 * 1e8 / 1.01e9])
    assert high == pytest.approx([1.4 + 2 * (100e9 / 1.01e9) / 469])
    assert step_times(machine(Cost(0.2, "")), BLOCKS, [2.0])[0] == pytest.approx(
        [1.4 + 2e8 / 1.01e9]
    )


def test_heads_of_the_target_are_no_model_of_their_own() -> None:
    heads = Machine(100e9, PUBLISHED[Kind.NVIDIA], (Cost(0.2, ""),), drafts_apart=False)
    assert step_times(heads, DRAFTED, [2.0]) == [pytest.approx([1.4 + 2 * 1e8 / 1.01e9])]


def test_costs_that_hold_drafting_and_costs_of_a_drafter_s_step() -> None:
    line = Cost(0.1, "", fixed=0.4, with_drafting=True)
    assert step_times(machine(line), DRAFTED, [2.0]) == [pytest.approx([1.6])]
    assert step_times(machine(line), DENSE, [2.0]) == [pytest.approx([1.2])]
    assert step_times(machine(line, draft_cost=0.3), DRAFTED, [2.0]) == [pytest.approx([2.2])]


def test_bytes_of_a_step() -> None:
    for reads in (DENSE, DRAFTED, BLOCKS, EXPERTS):
        for drafted in (0, 1, 5):
            assert step_bytes(reads, drafted) == pytest.approx(reads.of_step(drafted))


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(1, 5), st.floats(1, 3)), min_size=1, max_size=4)
)
def test_a_product_holds_its_middle_and_reaches_no_farther_than_its_corners(
    parts: list[tuple[float, float, float]],
) -> None:
    ranges = [Range(middle * low, middle, middle * high) for low, middle, high in parts]
    found = product(*ranges)
    assert found.low <= found.middle * (1 + 1e-9)
    assert found.middle <= found.high * (1 + 1e-9)
    assert found.middle == pytest.approx(math.prod(one.middle for one in ranges))
    assert found.low >= math.prod(one.low for one in ranges) * (1 - 1e-9)
    assert found.high <= math.prod(one.high for one in ranges) * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    READS,
    st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(lambda c: sum(c) > 0),
    st.floats(0, 0.5),
)
def test_ranges_hold_their_values(reads: Reads, steps: list[int], disagreement: float) -> None:
    drafts = [
        Drafts(f"p{index}", tuple(float(n + index) for n in steps), sum(steps) + 1.0)
        for index in range(3)
    ]
    found = speedups(machine(Cost(0.1, ""), Cost(0.8, "")), reads, lengths_of(drafts), disagreement)
    for one in found.lengths:
        for range_ in (one.tau, one.step, one.speedup):
            assert range_.low <= range_.middle * (1 + 1e-9)
            assert range_.middle <= range_.high * (1 + 1e-9)
        assert one.tau.low >= 1
        assert one.tau.high <= one.draft_tokens + 1
        assert one.speedup.middle == pytest.approx(one.tau.middle / one.step.middle)
    assert found.could_be_best[0] <= found.best <= found.could_be_best[1]


def test_free_rows_want_the_longest_drafts_and_dear_ones_none() -> None:
    steps = (10, 20, 30, 40)
    free = speedups(machine(Cost(0.0, "")), DENSE, lengths(*steps), 0)
    assert (free.best, free.could_be_best) == (3, (3, 3))
    dear = speedups(machine(Cost(1.0, "")), DENSE, lengths(*steps), 0)
    assert (dear.best, dear.could_be_best) == (0, (0, 0))
    both = speedups(machine(Cost(0.0, ""), Cost(1.0, "")), DENSE, lengths(*steps), 0)
    assert both.could_be_best == (0, 3)


def test_a_disagreement_widens_all_but_the_longest() -> None:
    sure = speedups(machine(), DENSE, lengths(40, 30, 20, 10), 0).lengths
    unsure = speedups(machine(), DENSE, lengths(40, 30, 20, 10), 0.1).lengths
    assert unsure[-1].tau == sure[-1].tau
    for before, after in zip(sure[:-1], unsure[:-1], strict=True):
        assert after.tau.low == pytest.approx(before.tau.low / 1.1)
        assert after.tau.high == pytest.approx(min(before.tau.high * 1.1, after.draft_tokens + 1))
