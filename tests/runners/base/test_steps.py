"""Tokens put together to steps, against a copy of what mlx-lm's generator does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.base.generator_server import Step
from runners.base.steps import StepCounter


def speculative(
    right: list[int], most: int, longest: int
) -> Iterator[tuple[int | None, int, bool]]:
    """`speculative_generate_step` without its models: (drafted or None, token, from_draft).

    `right` says of each step how many of its draft tokens the target would have chosen too.
    """
    done = step = 0
    while done < most:
        drafted: int | None = min(most - done, longest)
        assert drafted is not None
        accepted = min(right[step % len(right)], drafted)
        step += 1
        for _ in range(accepted):
            done += 1
            yield drafted, done, True
            drafted = None
            if done == most:
                return
        done += 1
        yield drafted, done, False


def counted(right: list[int], most: int, longest: int, stop: int | None = None) -> list[Step]:
    counter = StepCounter()
    steps = []
    for drafted, token, from_draft in speculative(right, most, longest):
        assert counter.is_open == (drafted is None)
        if drafted is not None:
            counter.begin(drafted)
        step = counter.add(token, str(token), from_draft=from_draft)
        if token in (most, stop):
            step = step or counter.cut()
        if step is not None:
            steps.append(step)
        if token == stop:
            break
    return steps


def test_steps_of_a_known_answer() -> None:
    assert counted([2, 0, 3], 9, 3) == [
        Step((1, 2, 3), "123", drafted=3, accepted=2),
        Step((4,), "4", drafted=3, accepted=0),
        Step((5, 6, 7, 8), "5678", drafted=3, accepted=3),
        Step((9,), "9", drafted=1, accepted=1),
    ]


def test_an_end_of_text_inside_a_draft_was_accepted() -> None:
    assert counted([3], 100, 3, stop=6) == [
        Step((1, 2, 3, 4), "1234", drafted=3, accepted=3),
        Step((5, 6), "56", drafted=3, accepted=2),
    ]


def test_plain_decoding_is_one_token_a_step() -> None:
    counter = StepCounter()
    for token in (5, 6):
        counter.begin(0)
        assert counter.add(token, "x", from_draft=False) == Step((token,), "x")
    assert counter.cut() is None


def test_what_cannot_be() -> None:
    counter = StepCounter()
    counter.begin(1)
    counter.add(1, "a", from_draft=True)
    with pytest.raises(RuntimeError, match="more tokens of the draft"):
        counter.add(2, "b", from_draft=True)
    with pytest.raises(RuntimeError, match="in the middle of a step"):
        counter.begin(1)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(1, 6),
    st.integers(1, 40),
)
def test_counts_add_up(right: list[int], most: int, longest: int, stop: int) -> None:
    steps = counted(right, most, longest, stop)
    tokens = [token for step in steps for token in step.tokens]
    assert tokens == list(range(1, min(most, stop) + 1))
    for step in steps[:-1]:
        assert len(step.tokens) == step.accepted + 1
    assert len(steps[-1].tokens) - steps[-1].accepted in (0, 1)
    assert all(step.accepted <= step.drafted <= longest for step in steps)
