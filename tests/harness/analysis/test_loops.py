from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.loops import Loop, find_loop
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_sample


def of_tokens(tokens):
    return find_loop(make_sample(make_arm(), tokens=tuple(tokens)))


def of_text(text):
    return find_loop(make_sample(make_arm(), tokens=None, text=text))


def test_a_tail_that_repeats_is_a_loop():
    assert of_tokens([*PLAIN_TOKENS, *[5, 6, 7] * 11]) == Loop(3, 33, "tokens")


def test_ordinary_answers_are_none():
    assert of_tokens(PLAIN_TOKENS) is None
    assert of_tokens([]) is None
    assert of_text("def f(x):\n    return x + 1\n" + "-" * 80) is None
    assert of_text(", ".join(map(str, range(200)))) is None


def test_a_short_or_rare_repetition_is_none():
    assert of_tokens([*PLAIN_TOKENS, *[5, 6, 7] * 10]) is None
    assert of_tokens(list(range(20)) * 2) is None


def test_text_is_looked_at_where_tokens_are_not_exposed():
    assert of_text("So: " + "and so on, " * 30 + "\n") is not None
    assert find_loop(make_sample(make_arm(), tokens=None, text=None)) is None


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
    st.lists(st.integers(10, 19), max_size=20),
)
def test_any_unit_said_often_enough_is_found(unit, head):
    repeats = max(3, -(-32 // len(unit)))
    loop = of_tokens([*head, *unit * repeats])
    assert loop is not None
    assert loop.period <= len(unit)
    assert loop.length >= len(unit) * repeats
