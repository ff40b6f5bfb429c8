from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.generator_server import Step
from runners.llama_cpp_python.steps import ComparedSteps

Draft = Callable[[Sequence[int]], Sequence[int]]


def generate(truth: Sequence[int], draft: Draft, evaluated: list[int]) -> Iterator[int]:
    """`Llama.generate` with a model that knows its answer: evaluate, sample, compare, take back.

    Written after the package's own loop, with its variables: places are counted from the prompt's
    last token on, and `evaluated` gets the rows of every batch.
    """
    cells: list[int] = []
    tokens = [-1]  # The prompt, of one token.
    place = 0
    while True:
        cells += tokens
        evaluated.append(len(tokens))
        while place < len(cells):
            token = truth[place]
            place += 1
            yield token
            tokens = [token]
            if place < len(cells) and token != cells[place]:
                del cells[place:]
                break
        tokens = [*tokens, *draft([*cells, *tokens])]


def count(
    truth: Sequence[int], drafts: Sequence[Sequence[int]], length: int
) -> tuple[list[Step], list[int]]:
    """The steps of the first `length` tokens, and the rows that were really evaluated."""
    counter = ComparedSteps()
    steps: list[Step] = []
    evaluated: list[int] = []
    proposals = iter(drafts)

    def draft(_text: Sequence[int]) -> Sequence[int]:
        proposal = next(proposals, ())
        counter.draft(proposal)
        return proposal

    tokens = generate(truth, draft, evaluated)
    for number in range(length):
        token = next(tokens)
        step = counter.add(token, str(token))
        if step is None and number == length - 1:
            step = counter.cut()
        if step is not None:
            steps.append(step)
    return steps, evaluated


# Few different tokens, so that drafts are often right for a while.
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=40)
DRAFTS = st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=40)


@settings(max_examples=300)
@given(truth=TOKENS, drafts=DRAFTS)
def test_tokens_are_the_accepted_ones_and_one_of_each_step(
    truth: list[int], drafts: list[list[int]]
) -> None:
    # What is drafted beyond the last token is verified against something.
    steps, evaluated = count([*truth, *[0] * 10], drafts, len(truth))
    assert [token for step in steps for token in step.tokens] == truth
    *whole, last = steps
    assert all(len(step.tokens) == step.accepted + 1 for step in whole)
    assert len(last.tokens) - last.accepted in (0, 1)
    assert len(steps) + sum(step.accepted for step in steps) - len(truth) in (0, 1)
    assert all(step.accepted <= step.drafted for step in steps)
    # The fake evaluated what the steps say that they verified: one row of the prompt, and then
    # each draft behind the token before it.
    assert evaluated == [1, *[1 + step.drafted for step in steps[1:]]]
    assert "".join(step.text for step in steps) == "".join(map(str, truth))


@settings(max_examples=100)
@given(truth=TOKENS, drafts=DRAFTS)
def test_accepted_are_what_the_draft_had_right_from_its_start(
    truth: list[int], drafts: list[list[int]]
) -> None:
    steps, _ = count([*truth, *[0] * 10], drafts, len(truth))
    done = 0
    for step, draft in zip(steps, [[], *drafts, *[[]] * len(steps)], strict=False):
        assert step.drafted == len(draft)
        right = 0
        while right < min(len(draft), len(truth) - done) and draft[right] == truth[done + right]:
            right += 1
        assert step.accepted == right
        done += len(step.tokens)


def test_plain_decoding_is_one_token_a_step() -> None:
    steps, evaluated = count([5, 6, 7], [], 3)
    assert steps == [Step((5,), "5"), Step((6,), "6"), Step((7,), "7")]
    assert evaluated == [1, 1, 1]


def test_one_wrong_draft_token_ends_its_step() -> None:
    steps, _ = count([1, 2, 3, 4, 5, 6], [[2, 3, 9, 5]], 6)
    assert steps[1] == Step((2, 3, 4), "234", drafted=4, accepted=2)
    assert steps[2] == Step((5,), "5")


def test_answer_that_ends_inside_a_draft() -> None:
    steps, _ = count([1, 2, 3, 4, 5], [[2, 3, 4, 5]], 3)
    assert steps == [Step((1,), "1"), Step((2, 3), "23", drafted=4, accepted=2)]


def test_draft_inside_a_step_is_an_error() -> None:
    counter = ComparedSteps()
    counter.draft([1, 2])
    assert counter.add(1, "a") is None
    with pytest.raises(RuntimeError):
        counter.draft([3])
