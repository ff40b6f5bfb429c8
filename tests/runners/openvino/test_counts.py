from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.openvino.counts import AnswerCounts, Told


def counts_of(method: str, *sizes: int, stops: bool = False) -> AnswerCounts:
    counts = AnswerCounts(method)
    for place, size in enumerate(sizes):
        counts.add(size, stops=stops and place == len(sizes) - 1)
    return counts


def test_plain_steps_have_no_drafts() -> None:
    assert AnswerCounts("none").add(1, stops=False) == (0, 0)
    assert counts_of("none", 1, 1).disagreement(Told((1, 1))) is None


def test_lookup_tells_nothing_of_its_drafts() -> None:
    counts = AnswerCounts("ngram")
    assert counts.add(1, stops=False) == (None, 0)
    assert counts.add(4, stops=True) == (None, 3)
    assert counts.drafted(Told((1, 4)), stops=True) is None
    assert counts.disagreement(Told((1, 4))) is None


def test_last_step_of_a_drafted_answer() -> None:
    """As OpenVINO GenAI 2026.4.1 tells of answers to real prompts, 4 draft tokens a step."""
    full = counts_of("draft-model", 1, 1, 1, 3)
    told = Told((1, 1, 1, 3), drafted=7, accepted=0)
    assert full.drafted(told, stops=False) == 9
    assert full.disagreement(told) is None
    ended = counts_of("draft-model", 1, 1, 1, 3, 2, 5, 2, 2, 3, stops=True)
    told = Told((1, 1, 1, 3, 2, 5, 2, 2, 3), drafted=28, accepted=9)
    assert ended.drafted(told, stops=True) == 28
    assert ended.disagreement(told) is None
    assert AnswerCounts("draft-model").add(3, stops=True) == (None, 0)
    assert AnswerCounts("draft-model").add(3, stops=False) == (None, 2)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.booleans())
def test_accepted_of_the_steps_is_what_is_told_and_the_last_step(
    sizes: list[int], stops: bool
) -> None:
    counts = AnswerCounts("draft-model")
    accepted = [
        counts.add(size, stops=stops and place == len(sizes) - 1)[1]
        for place, size in enumerate(sizes)
    ]
    told = Told(tuple(sizes), drafted=sum(sizes), accepted=sum(size - 1 for size in sizes[:-1]))
    assert counts.disagreement(told) is None
    last = 0 if stops else sizes[-1] - 1
    assert sum(accepted) == (told.accepted or 0) + last
    assert counts.drafted(told, stops=stops) == sum(sizes) + last


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told((1, 2, 2)), "counts 3 steps of 5 tokens, but 2 steps of 4 tokens came"),
        (Told((1, 3), drafted=4, accepted=2), "counts 2 accepted tokens before the last step"),
    ],
)
def test_disagreement_names_both_figures(told: Told, words: str) -> None:
    assert words in (counts_of("draft-model", 1, 3).disagreement(told) or "")
