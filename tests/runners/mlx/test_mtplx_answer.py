"""Chunks of mtplx, in the form that server/openai.py of mtplx 2.12.2 gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import RequestError
from runners.mlx.mtplx_answer import Answer, Chunk, Drafts, sizes


def chunk(text: str) -> Chunk:
    choice = {"index": 0, "text": text, "finish_reason": None}
    return Chunk.parse(json.dumps({"choices": [choice]}))


def closing(tokens: int, **stats: Any) -> Chunk:
    return Chunk.parse(
        json.dumps(
            {
                "choices": [{"index": 0, "text": "", "finish_reason": "length"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": tokens},
                "mtplx_stats": {
                    "drafted_tokens": 6,
                    "accepted_drafts": 3,
                    "accepted_by_depth": [2, 1],
                    "verify_calls": 3,
                    **stats,
                },
                "timings": {"prompt_ms": 1, "predicted_ms": 0, "predicted_per_second": 0},
            }
        )
    )


def finished(*texts: str, tokens: int = 7, draft_tokens: int | None = 2, **stats: Any) -> Drafts:
    answer = Answer(draft_tokens=draft_tokens, temperature=0)
    for at, text in enumerate(texts):
        answer.add(float(at), chunk(text))
    answer.add(float(len(texts)), closing(tokens, **stats))
    bursts, completion, drafts = answer.finish(0.0)
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens == tokens
    assert completion.decode_rate is None
    assert completion.cached_tokens is None
    return drafts


def test_counts() -> None:
    assert finished("a", "bb", "c") == Drafts(6, 3, 4, (2, 1))
    # At temperatures above 0 a rejection takes a pass of its own, which yields a token too.
    assert finished("a", "bb", "c", tokens=9).steps == 6
    # The last verification gave nothing of the target's own.
    assert finished("a", "bb", "c", tokens=6).steps == 4
    assert finished("a", "bb", draft_tokens=None, tokens=2) == Drafts(steps=2)


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ({"accepted_by_depth": [2, 2]}, "3 accepted tokens, but 4 by depth"),
        ({"accepted_drafts": 7, "accepted_by_depth": []}, "7 accepted tokens in an answer of 7"),
        ({"context_copy_drafted_tokens": 24}, "by looking up the text as well"),
        ({"mtp_depth": 1}, "asked for drafts of 2 tokens, mtplx made them of 1"),
    ],
)
def test_counts_that_cannot_be(stats: dict[str, Any], said: str) -> None:
    assert said in (finished("a", "b", **stats).disagreement or "")


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ({"memory_stop": {"message": "The answer stopped"}}, "out of memory: The answer stopped"),
        ({"attempts": 2}, "made the answer 2 times over"),
        ({"effective_temperature": 0.6}, "asked for temperature 0, mtplx used 0.6"),
        ({"verify_calls": None}, "cannot be read"),
    ],
)
def test_answers_that_are_not_measured(stats: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        finished("a", **stats)


def test_a_stream_without_its_end() -> None:
    answer = Answer(draft_tokens=None, temperature=0)
    answer.add(0.0, chunk("a"))
    with pytest.raises(RequestError, match="ended without its counts") as lost:
        answer.finish(0.0)
    assert lost.value.server_lost


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"choices": []}', '{"choices": [1]}', "7"])
def test_what_is_no_chunk(data: str) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        Chunk.parse(data)


def test_chunks_of_one_read_are_one_burst() -> None:
    answer = Answer(draft_tokens=2, temperature=0)
    for at, text in ((1.0, "a"), (2.0, "bb"), (2.0, "c"), (3.0, "d")):
        answer.add(at, chunk(text))
    answer.add(4.0, closing(5, accepted_drafts=2, accepted_by_depth=[1, 1]))
    bursts, _, _ = answer.finish(0.5)
    assert [(burst.at, burst.text, burst.tokens) for burst in bursts] == [
        (1.0, "a", 1),
        (2.0, "bbc", 3),
        (3.0, "d", 1),
    ]


def test_more_chunks_than_tokens() -> None:
    answer = Answer(draft_tokens=None, temperature=0)
    for at in range(4):
        answer.add(float(at), chunk("x"))
    answer.add(9.0, closing(2))
    bursts, _, _ = answer.finish(0.0)
    assert [(burst.at, burst.text, burst.tokens) for burst in bursts] == [
        (0.0, "x", 1),
        (1.0, "xxx", 1),
    ]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), min_size=1), st.integers(0, 40))
@settings(max_examples=60)
def test_sizes_add_up(texts: list[tuple[int, int]], more: int) -> None:
    lengths, most = zip(*texts, strict=True)
    found = sizes(lengths, most, len(texts) + more)
    assert sum(found) == len(texts) + more
    assert min(found) >= 1
    assert all(size <= limit for size, limit in zip(found[:-1], most[:-1], strict=True))


def test_longer_texts_are_more_tokens() -> None:
    assert sizes([9, 6, 2, 0], [1, 3, 3, 1], 6) == [1, 3, 1, 1]
    assert sizes([9, 6, 2, 0], [1, 2, 3, 1], 6) == [1, 2, 2, 1]
    assert sizes([9, 9], [1, 1], 4) == [1, 3]
