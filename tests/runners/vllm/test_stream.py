"""Chunks as vLLM sends them, and an answer's counts against an engine that is simulated."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import Burst, Completion, RequestError
from runners.vllm.stream import Answer, Chunk


def event(tokens: list[int] | None, text: str = "", **more: Any) -> str:
    choice = {"index": 0, "text": text, "token_ids": tokens, "finish_reason": None} | more
    return json.dumps({"id": "cmpl-1", "choices": [choice]})


def closing(tokens: int, metrics: dict[str, Any] | None = None, **usage: Any) -> str:
    said = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    body: dict[str, Any] = {"id": "cmpl-1", "choices": [], "usage": said | usage}
    return json.dumps(body if metrics is None else body | {"metrics": metrics})


def read(events: list[str], *, plain: bool = False) -> tuple[list[Burst], Completion]:
    answer = Answer(plain=plain)
    parts = [answer.add(float(at), Chunk.parse(data)) for at, data in enumerate(events)]
    return [part for part in parts if part is not None], answer.completion(-1.0)


def test_a_plain_answer() -> None:
    bursts, completion = read(
        [
            event([7], "a", prompt_token_ids=[1, 2, 3, 4, 5]),
            event([8], ""),  # half of a character
            event([9], "\u00e9", finish_reason="length"),
            closing(
                3,
                {
                    "time_to_first_token_ms": 30.0,
                    "generation_time_ms": 100.0,
                    "queue_time_ms": 10.0,
                    "speculative_decoding": None,
                },
                prompt_tokens_details={"cached_tokens": 0},
            ),
        ],
        plain=True,
    )
    assert bursts == [
        Burst(0.0, 1, "a", (7,)),
        Burst(1.0, 1, "", (8,)),
        Burst(2.0, 1, "\u00e9", (9,)),
    ]
    assert completion == Completion(
        sent_at=-1.0,
        output_tokens=3,
        finish_reason="length",
        prompt_tokens=5,
        cached_tokens=0,
        prefill_s=0.02,
        decode_s=0.1,
        decode_rate=20.0,
        drafted=0,
        accepted=0,
        steps=3,
    )


def test_what_a_build_does_not_tell_is_not_known() -> None:
    _, completion = read([event([7, 8], "ab"), closing(2, prompt_tokens_details=None)])
    assert (completion.drafted, completion.accepted) == (None, None)
    assert completion.steps == 1
    assert (completion.prefill_s, completion.decode_s, completion.decode_rate) == (None, None, None)
    assert completion.cached_tokens is None


def test_an_answer_of_one_token_has_no_rate() -> None:
    _, completion = read([event([7], "a"), closing(1, {"generation_time_ms": 0.0})], plain=True)
    assert (completion.decode_s, completion.decode_rate, completion.steps) == (0.0, None, 1)


def test_chunks_without_tokens_are_no_bursts() -> None:
    bursts, completion = read(
        [
            event([], ""),
            event(None, ""),
            event([7], "a"),
            event([], "", finish_reason="stop"),
            closing(1),
        ],
        plain=True,
    )
    assert [burst.tokens for burst in bursts] == [1]
    assert (completion.finish_reason, completion.steps) == ("stop", 1)


def test_text_without_ids_is_an_old_build() -> None:
    with pytest.raises(RequestError, match=r"tells no token ids.*0\.10\.2"):
        read([event(None, "a")])
    old = json.dumps({"choices": [{"text": "a", "finish_reason": None}]})
    with pytest.raises(RequestError, match="tells no token ids"):
        read([old])


def test_a_stream_without_its_end() -> None:
    with pytest.raises(RequestError, match="ended without its usage") as caught:
        read([event([7], "a", finish_reason="length")])
    assert caught.value.server_lost


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "EngineCore encountered an issue.", "code": 500}, "EngineCore encountered"),
        ("no", "an error: no"),
        ({"code": 500}, "cannot be read"),
    ],
)
def test_an_error_inside_the_stream(error: object, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Chunk.parse(json.dumps({"error": error}))


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"choices"',
        "{}",
        '{"choices": 7}',
        '{"choices": [7]}',
        '{"choices": [{"token_ids": 7}]}',
        '{"choices": [{"token_ids": ["x"]}]}',
        '{"choices": [{"token_ids": [Infinity]}]}',
        '{"choices": [{"token_ids": [1], "prompt_token_ids": 3}]}',
        '{"choices": [], "metrics": 3}',
        "[" * 100_000,
    ],
)
def test_what_cannot_be_read(data: str) -> None:
    with pytest.raises(RequestError, match="answer cannot be read"):
        Chunk.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        '{"choices": [], "usage": {}}',
        '{"choices": [], "usage": 7}',
        '{"choices": [], "usage": {"completion_tokens": null, "prompt_tokens": 1}}',
        '{"choices": [], "usage": {"completion_tokens": Infinity, "prompt_tokens": 1}}',
        '{"choices": [], "usage": {"completion_tokens": 1, "prompt_tokens": 1}, "metrics": '
        '{"speculative_decoding": {}}}',
        '{"choices": [], "usage": {"completion_tokens": 1, "prompt_tokens": 1}, "metrics": '
        '{"generation_time_ms": "soon"}}',
    ],
)
def test_an_end_that_cannot_be_read(data: str) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read([event([7], "a"), data])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "error", "usage", "metrics", "token_ids", "text"]),
                some,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
@settings(max_examples=100)
def test_any_json_is_read_or_refused(body: object) -> None:
    with contextlib.suppress(RequestError):
        read([json.dumps(body)])


# ---- the arithmetic of steps -----------------------------------------------------------------


@dataclass
class Engine:
    """One request in an engine that speculates, as vLLM's scheduler counts it.

    Each step yields the tokens of the draft that were accepted and one more; the limit or an end
    of text cuts what is yielded, not what is counted as accepted.
    """

    limit: int
    end: int
    """At this token the text ends."""
    yielded: list[list[int]] = field(default_factory=list)
    """Tokens of each step."""
    drafted: int = 0
    accepted: int = 0
    verified: int = 0
    """Steps with a draft."""
    cut: int = 0

    def run(self, drafts: list[tuple[int, int]]) -> None:
        """`drafts`: (drafted, accepted) of the steps after the prefill, repeated to the end."""
        at = 0
        self._yield(1)
        while self._written < min(self.limit, self.end):
            drafted, accepted = drafts[at % len(drafts)]
            at += 1
            accepted = min(drafted, accepted)
            if drafted:
                self.drafted += drafted
                self.accepted += accepted
                self.verified += 1
            self._yield(accepted + 1)

    @property
    def _written(self) -> int:
        return sum(map(len, self.yielded))

    def _yield(self, count: int) -> None:
        room = min(self.limit, self.end) - self._written
        self.cut += max(0, count - room)
        first = self._written
        self.yielded.append(list(range(first, first + min(count, room))))

    def events(self, merged: list[bool]) -> list[str]:
        """The stream; a chunk that is not fetched in time takes up the next one."""
        chunks: list[list[int]] = []
        for at, tokens in enumerate(self.yielded):
            if at and merged[at % len(merged)]:
                chunks[-1] = chunks[-1] + tokens
            else:
                chunks.append(tokens)
        said = {
            "num_spec_steps": self.verified,
            "num_draft_tokens": self.drafted,
            "num_accepted_draft_tokens": self.accepted,
        }
        end = closing(self._written, {"speculative_decoding": said})
        return [*(event(tokens, "x" * len(tokens)) for tokens in chunks), end]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(1, 60),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
@settings(max_examples=300)
def test_counts_of_a_simulated_engine(
    drafts: list[tuple[int, int]], limit: int, end: int, merged: list[bool]
) -> None:
    engine = Engine(limit, end)
    engine.run(drafts)
    bursts, completion = read(engine.events(merged))
    tokens = [token for burst in bursts for token in burst.token_ids or ()]
    assert tokens == list(range(min(limit, end)))
    assert completion.output_tokens == len(tokens)
    assert (completion.drafted, completion.accepted) == (engine.drafted, engine.accepted)
    steps = len(engine.yielded)
    assert completion.steps is not None
    if engine.cut == 0 or not any(merged) or all(drafted for drafted, _ in drafts):
        assert completion.steps == steps
    # Where chunks are merged and the last step is cut, and only there, some steps go unseen: as
    # many as tokens were cut off at most.
    assert steps - engine.cut <= completion.steps <= steps


@given(st.integers(1, 40), st.lists(st.booleans(), min_size=1, max_size=4))
def test_plain_decoding_is_one_token_a_step(limit: int, merged: list[bool]) -> None:
    engine = Engine(limit, limit)
    engine.run([(0, 0)])
    _, completion = read(engine.events(merged), plain=True)
    assert (completion.drafted, completion.accepted, completion.steps) == (0, 0, limit)
