from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.lossless import Verdict, compare
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_sample, make_samples

PLAIN = make_arm()
SPECULATIVE = make_arm("ngram-mod", 4)


def of(tokens, plain_tokens=PLAIN_TOKENS, temperature=0.0):
    return compare(
        [make_sample(SPECULATIVE, tokens=tuple(tokens))],
        [make_sample(PLAIN, tokens=tuple(plain_tokens))],
        temperature=temperature,
    )


def test_the_same_tokens_are_identical():
    found = of(PLAIN_TOKENS)
    assert (found.verdict, found.compared, found.differing) == (Verdict.IDENTICAL, 1, 0)


def test_the_smallest_difference_of_all_pairs_is_told():
    plain = make_samples(PLAIN, [50.0] * 3)
    late, early, same = make_samples(SPECULATIVE, [60.0] * 3)
    late = late.model_copy(update={"tokens": (*PLAIN_TOKENS[:60], -1, *PLAIN_TOKENS[61:])})
    early = early.model_copy(update={"tokens": (*PLAIN_TOKENS[:9], -1, *PLAIN_TOKENS[10:])})
    found = compare([late, early, same], plain, temperature=0)
    assert found.verdict is Verdict.DIFFERENT
    assert (found.compared, found.differing, found.first_difference) == (3, 2, 9)


def test_an_answer_that_ends_earlier_differs_at_its_end():
    assert of(PLAIN_TOKENS[:40]).first_difference == 40
    assert of(PLAIN_TOKENS, PLAIN_TOKENS[:40]).first_difference == 40


def test_hashes_are_compared_where_tokens_are_not_exposed():
    same = make_sample(SPECULATIVE, tokens=None)
    other = make_sample(SPECULATIVE, tokens=None, text_sha256="00")
    plain = [make_sample(PLAIN)]
    assert compare([same], plain, temperature=0).verdict is Verdict.IDENTICAL
    found = compare([other], plain, temperature=0)
    assert (found.verdict, found.first_difference) == (Verdict.DIFFERENT, None)


def test_sampling_is_not_comparable():
    found = of(PLAIN_TOKENS, temperature=0.7)
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert "0.7" in found.reason


def test_without_a_plain_answer_nothing_is_comparable():
    sample = make_sample(SPECULATIVE)
    for plain in (
        [],
        [make_sample(PLAIN, round=2)],
        [make_sample(PLAIN, max_tokens=64)],
        [make_sample(PLAIN, status="failed")],
        [make_sample(PLAIN, tokens=None, text_sha256=None)],
    ):
        assert compare([sample], plain, temperature=0).verdict is Verdict.NOT_COMPARABLE


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_the_position_is_where_the_texts_part(left, right):
    found = of(left, right)
    if left == right:
        assert found.verdict is Verdict.IDENTICAL
    else:
        position = found.first_difference
        assert left[:position] == right[:position]
        assert left[position : position + 1] != right[position : position + 1]
