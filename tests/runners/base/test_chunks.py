from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.base.chunks import most_in_first, spread


def test_as_many_chunks_as_tokens_hold_one_each() -> None:
    assert spread(["a", "long one", ""], 3) == (1, 1, 1)
    assert most_in_first(3, 3) is None


def test_more_tokens_than_chunks_go_by_length_of_text() -> None:
    assert spread(["ab", "abcdef"], 6) == (2, 4)
    assert most_in_first(2, 6) == 5


def test_parts_of_a_token_come_in_chunks_of_none() -> None:
    assert spread(["a", "b", "c", "d"], 2) == (1, 0, 1, 0)
    assert most_in_first(4, 2) == 1


def test_chunks_without_text_share_alike() -> None:
    assert spread(["", ""], 4) == (2, 2)


def test_no_chunk_can_hold_no_token() -> None:
    assert spread([], 0) == ()
    with pytest.raises(ValueError, match="3 tokens came in no chunk"):
        spread([], 3)


@given(st.lists(st.text(max_size=9), min_size=1, max_size=40), st.integers(0, 200))
def test_shares_add_up_and_the_first_chunk_is_never_empty(texts: list[str], tokens: int) -> None:
    shares = spread(texts, tokens)
    assert len(shares) == len(texts)
    assert sum(shares) == tokens
    assert min(shares) >= 0
    assert shares[0] >= min(tokens, 1)
    assert shares[0] <= (most_in_first(len(texts), tokens) or 1)
