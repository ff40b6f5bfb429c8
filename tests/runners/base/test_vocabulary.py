from __future__ import annotations

from runners.base.vocabulary import MOST_DIFFERENCE, difference

WORDS = {"a": 0, "b": 1, "c": 2}


def test_a_draft_with_the_targets_tokens_may_draft() -> None:
    assert difference(WORDS, dict(WORDS)) is None
    assert difference({b"a": 0}, {b"a": 0}) is None
    assert difference(WORDS, WORDS | {f"pad{i}": 3 + i for i in range(MOST_DIFFERENCE)}) is None


def test_what_differs_is_told() -> None:
    assert difference(WORDS, {"a": 0, "c": 1, "b": 2}) == "token 1 is 'c', the target's 'b'"
    longer = WORDS | {f"pad{i}": 3 + i for i in range(MOST_DIFFERENCE + 1)}
    assert "more than 128 apart" in (difference(WORDS, longer) or "")
    assert "embeddings of 2 tokens" in (difference(WORDS, {"a": 0, "b": 1}, draft_rows=2) or "")
