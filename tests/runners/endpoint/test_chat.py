"""What an OpenAI-compatible stream can do to a client that counts and times."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.base.contract import Burst, Completion, RequestError
from runners.endpoint.chat import Answer, Chunk
from runners.endpoint.kinds import GENERIC, KINDS

ROLE = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def text(content: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}}], **more}


def usage(tokens: int, prompt: int = 9, **more: Any) -> dict[str, Any]:
    counts = {"completion_tokens": tokens, "prompt_tokens": prompt, **more}
    return {"choices": [], "usage": counts}


def answer(
    *bodies: dict[str, Any], at: list[float] | None = None, kind: str = "", unmerged: bool = False
) -> tuple[list[Burst], Completion]:
    """The bodies as events a tenth of a second apart."""
    made = Answer(KINDS.get(kind, GENERIC), unmerged=unmerged)
    for number, body in enumerate(bodies):
        made.add(number / 10 if at is None else at[number], Chunk.parse(json.dumps(body)))
    return made.finish(sent_at=-1.0)


def test_an_early_role_chunk_is_no_token() -> None:
    bursts, completion = answer(ROLE, text("Hello"), text(" you"), STOP, usage(2))
    assert [(burst.at, burst.tokens, burst.text) for burst in bursts] == [
        (0.1, 1, "Hello"),
        (0.2, 1, " you"),
    ]
    assert completion.output_tokens == 2
    assert completion.finish_reason == "stop"
    assert completion.prompt_tokens == 9
    assert completion.first_burst_at_most is None


def test_running_totals_count_a_first_chunk_of_several_tokens() -> None:
    so_far = [{"completion_tokens": n, "prompt_tokens": 9} for n in (0, 3, 5, 5)]
    bursts, completion = answer(
        {**ROLE, "usage": so_far[0]},
        text("one two three", usage=so_far[1]),
        text("four five", usage=so_far[2]),
        {**STOP, "usage": so_far[3]},
        usage(5),
    )
    assert [burst.tokens for burst in bursts] == [3, 2]
    assert completion.output_tokens == 5
    assert completion.first_burst_at_most is None


def test_without_running_totals_the_uncertainty_is_stated() -> None:
    bursts, completion = answer(ROLE, text("one two three"), text(" x"), STOP, usage(5))
    assert sum(burst.tokens for burst in bursts) == 5
    assert completion.first_burst_at_most == 4


def test_ids_count_tokens() -> None:
    def chunk(content: str, *ids: int) -> dict[str, Any]:
        return {"choices": [{"delta": {"content": content}, "token_ids": list(ids)}]}

    bursts, completion = answer(chunk("a", 7), chunk("bc", 8, 9), STOP, usage(3))
    assert [burst.token_ids for burst in bursts] == [(7,), (8, 9)]
    assert completion.output_tokens == 3
    # Ids alone do as well.
    bursts, completion = answer(chunk("a", 7), chunk("bc", 8, 9), STOP)
    assert completion.output_tokens == 3


def test_an_end_of_text_that_is_counted_and_not_sent_makes_no_ids_up() -> None:
    one = {"choices": [{"delta": {"content": "a"}, "token_ids": [7]}]}
    bursts, completion = answer(one, STOP, usage(2))
    assert (bursts[0].tokens, bursts[0].token_ids) == (2, None)
    assert completion.output_tokens == 2


def test_reasoning_is_generated_text() -> None:
    thought = {"choices": [{"delta": {"reasoning_content": "Let me think."}}]}
    other = {"choices": [{"delta": {"reasoning": " So:"}}]}
    bursts, completion = answer(ROLE, thought, other, text(" 4"), STOP, usage(3))
    assert "".join(burst.text for burst in bursts) == "Let me think. So: 4"
    assert bursts[0].at == 0.1
    assert completion.output_tokens == 3


def test_chunks_of_one_read_are_one_burst() -> None:
    bursts, _ = answer(
        text("a"), text("b"), text("c"), STOP, usage(3), at=[0.0, 0.5, 0.5, 0.5, 0.5]
    )
    assert [(burst.at, burst.tokens, burst.text) for burst in bursts] == [
        (0.0, 1, "a"),
        (0.5, 2, "bc"),
    ]


def test_chunks_that_are_parts_of_a_token_are_no_burst_of_their_own() -> None:
    bursts, completion = answer(text("ab"), text("c"), text("d"), text("ef"), STOP, usage(2))
    assert sum(burst.tokens for burst in bursts) == 2
    assert all(burst.tokens for burst in bursts)
    assert "".join(burst.text for burst in bursts) == "abcdef"
    assert completion.first_burst_at_most == 1


def test_tokens_whose_text_is_held_back_are_counted_when_they_come() -> None:
    def timed(content: str, count: int) -> dict[str, Any]:
        return text(content, timings={"predicted_n": count})

    bursts, completion = answer(
        timed("", 1),
        timed("é", 2),
        {**STOP, "timings": {"predicted_n": 3, "draft_n": 4, "draft_n_accepted": 1}},
        usage(3),
    )
    assert [burst.tokens for burst in bursts] == [1, 1, 1]
    assert (completion.drafted, completion.accepted, completion.steps) == (4, 1, 2)


def test_llama_server_that_drafted_nothing_says_so_by_silence() -> None:
    timings = {
        "predicted_n": 1,
        "predicted_ms": 20.0,
        "prompt_ms": 30.0,
        "cache_n": 5,
        "predicted_per_second": 50.0,
    }
    chunk = text("a", timings=timings)
    _, completion = answer(chunk, STOP, usage(1), kind="llama-server")
    assert (completion.drafted, completion.accepted, completion.steps) == (0, 0, 1)
    assert (completion.prefill_s, completion.decode_s) == (0.03, 0.02)
    assert completion.cached_tokens == 5


def test_vllm_tells_a_requests_drafts_where_it_was_told_to() -> None:
    said = {"num_draft_tokens": 9, "num_accepted_draft_tokens": 2, "num_spec_steps": 3}
    closing = {**usage(6), "metrics": {"speculative_decoding": said}}
    _, completion = answer(text("a"), text("b"), STOP, closing, kind="vllm")
    assert (completion.drafted, completion.accepted, completion.steps) == (9, 2, 4)


def test_sglang_tells_a_requests_drafts_when_asked() -> None:
    said = {
        "spec_num_correct_drafts": 4,
        "spec_num_proposed_drafts": 9,
        "spec_verify_ct": 3,
        "spec_accept_length": 2.33,
    }
    closing = {**usage(8), "sglext": {"spec_tokens_details": said}}
    _, completion = answer(text("a"), text("b"), STOP, closing)
    assert (completion.drafted, completion.accepted, completion.steps) == (9, 4, 4)


@pytest.mark.parametrize("place", ["stats", "usage"])
def test_lm_studio_tells_a_requests_drafts_in_either_of_two_places(place: str) -> None:
    counts = {"total_draft_tokens_count": 40, "accepted_draft_tokens_count": 30}
    closing = usage(50, **counts) if place == "usage" else {**usage(50), "stats": counts}
    _, completion = answer(text("a"), STOP, closing)
    assert (completion.drafted, completion.accepted, completion.steps) == (40, 30, 20)


def test_tensorrt_llm_tells_tokens_a_step() -> None:
    stop = {"choices": [{"delta": {}, "finish_reason": "length", "avg_decoded_tokens_per_iter": 2}]}
    _, completion = answer(text("a"), stop, usage(10))
    assert (completion.drafted, completion.accepted, completion.steps) == (None, None, 5)
    assert completion.finish_reason == "length"


def test_what_is_not_told_is_unknown_and_not_nothing() -> None:
    _, completion = answer(text("a"), STOP, usage(1))
    told = (completion.drafted, completion.accepted, completion.steps, completion.cached_tokens)
    assert told == (None, None, None, None)


def test_predicted_output_counts_are_no_drafts() -> None:
    """OpenAI's field for text that the client predicted, which servers fill with zeros."""
    details = {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    closing = usage(1, completion_tokens_details=details)
    _, completion = answer(text("a"), STOP, closing)
    assert (completion.drafted, completion.accepted) == (None, None)


def test_chunks_of_the_first_read_may_hold_all_that_no_other_needs() -> None:
    bodies = (text("aa"), text("bb"), text("cc"), STOP, usage(8))
    bursts, completion = answer(*bodies, at=[1.0, 1.0, 2.0, 2.0, 2.0])
    assert [burst.at for burst in bursts] == [1.0, 2.0]
    assert completion.first_burst_at_most == 7


def test_without_usage_nothing_is_counted_by_chunks() -> None:
    with pytest.raises(RequestError, match="neither usage nor token ids"):
        answer(text("a"), text("b"), STOP)


def test_without_usage_an_answer_that_was_cut_is_as_long_as_it_may_be() -> None:
    made = Answer(GENERIC, limit=4)
    cut = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    for number, body in enumerate((text("a"), text("bcd"), cut)):
        made.add(float(number), Chunk.parse(json.dumps(body)))
    bursts, completion = made.finish(-1.0)
    assert completion.output_tokens == sum(burst.tokens for burst in bursts) == 4
    assert completion.first_burst_at_most == 3


def test_an_answer_without_its_end_is_broken_off() -> None:
    with pytest.raises(RequestError, match="before its answer did"):
        answer(text("a"), usage(1))


def test_more_tokens_in_chunks_than_in_all_is_refused() -> None:
    body = {"choices": [{"delta": {"content": "ab"}, "token_ids": [1, 2]}]}
    with pytest.raises(RequestError, match="hold 2 tokens, and its usage tells 1"):
        answer(body, STOP, usage(1))


def test_an_answer_of_no_token() -> None:
    bursts, completion = answer(ROLE, STOP, usage(0))
    assert (bursts, completion.output_tokens) == ([], 0)


@pytest.mark.parametrize(
    "data",
    [
        "garbage",
        "[]",
        '{"choices": 7}',
        '{"choices": ["x"]}',
        '{"choices": [{"delta": "x"}]}',
        '{"choices": [], "usage": {"completion_tokens": "many"}}',
        '{"choices": [{"token_ids": [null]}]}',
        '{"choices": [], "timings": {"predicted_n": {}}}',
        '{"object": "error", "message": "no"}',
        '{"error": {"message": "no"}}',
        "[" * 100_000,
    ],
)
def test_garbage_is_one_clear_error(data: str) -> None:
    with pytest.raises(RequestError) as caught:
        Chunk.parse(data)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "closing",
    [
        {"prompt_tokens_details": "x", "completion_tokens": 1},
        {"completion_tokens": 1, "total_draft_tokens_count": 3},
        {"completion_tokens": 1, "prompt_tokens": "x"},
    ],
)
def test_a_usage_that_cannot_be_read_is_one_clear_error(closing: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        answer(text("a"), STOP, {"choices": [], "usage": closing})


@given(
    st.lists(st.tuples(st.text(max_size=6), st.integers(0, 4), st.booleans()), max_size=30),
    st.booleans(),
)
def test_every_token_is_put_to_a_burst_in_order(
    chunks: list[tuple[str, int, bool]], continuous: bool
) -> None:
    total, at, now = 0, [], 0.0
    bodies = []
    for content, tokens, same_read in chunks:
        total += tokens
        now += 0.0 if same_read else 0.1
        at.append(now)
        counts = {"usage": {"completion_tokens": total}} if continuous else {}
        bodies.append(text(content, **counts))
    said = [content for content, tokens, _ in chunks if content or (continuous and tokens)]
    if not said:
        total = 0
    bursts, completion = answer(*bodies, STOP, usage(total), at=[*at, now, now])
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens == total
    assert "".join(burst.text for burst in bursts) == "".join(content for content, _, _ in chunks)
    times = [burst.at for burst in bursts]
    assert times == sorted(times)
    if completion.first_burst_at_most is not None and bursts:
        assert bursts[0].tokens <= completion.first_burst_at_most <= max(1, total)


def test_totals_that_lag_behind_the_text_do_not_make_the_first_chunk_empty() -> None:
    bodies = [text(word, usage={"completion_tokens": n}) for n, word in enumerate("abcd")]
    bursts, completion = answer(*bodies, STOP, usage(4))
    assert [burst.tokens for burst in bursts] == [1, 1, 1, 1]
    assert completion.first_burst_at_most is None


def test_a_total_that_is_told_twice_is_counted_once() -> None:
    last = {**STOP, "usage": {"completion_tokens": 2}}
    bursts, completion = answer(text("a"), text("b"), last, usage(2), usage(2))
    assert (sum(burst.tokens for burst in bursts), completion.output_tokens) == (2, 2)


@pytest.mark.parametrize(
    ("more", "first", "at_most"),
    [
        ({}, 901, None),
        # Counted apart from the answer: nothing is left to come before it.
        ({"total_tokens": 9 + 910 + 900}, 61, 896),
    ],
)
def test_thoughts_that_are_not_shown_came_before_the_first_chunk(
    more: dict[str, int], first: int, at_most: int | None
) -> None:
    details = {"reasoning_tokens": 900}
    closing = usage(910 if more else 915, completion_tokens_details=details, **more)
    bursts, completion = answer(*[text("a")] * 15, STOP, closing)
    assert bursts[0].tokens == first
    assert completion.first_burst_at_most == at_most
    assert sum(burst.tokens for burst in bursts) == completion.output_tokens


def test_thoughts_that_are_shown_are_where_they_came() -> None:
    thought = {"choices": [{"delta": {"reasoning": "a"}}]}
    details = {"reasoning_tokens": 2}
    closing = usage(3, completion_tokens_details=details)
    bursts, _ = answer(thought, thought, text("b"), STOP, closing)
    assert [burst.tokens for burst in bursts] == [1, 1, 1]


def test_calls_of_tools_are_generated_text() -> None:
    call = {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}}]}
    rest = {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "}"}}]}}]}
    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    bursts, completion = answer(ROLE, call, rest, end, usage(2))
    assert [burst.text for burst in bursts] == ["f{", "}"]
    assert completion.finish_reason == "tool_calls"


def test_timings_of_others_that_tell_no_drafts_say_nothing_of_them() -> None:
    timings = {"predicted_n": 2, "predicted_ms": 20.0}
    _, completion = answer(text("ab"), STOP, {**usage(2), "timings": timings}, kind="ollama")
    assert (completion.drafted, completion.accepted, completion.steps) == (None, None, None)
    assert completion.decode_s == 0.02
    told = {**timings, "draft_n": 3, "draft_n_accepted": 1}
    _, completion = answer(text("ab"), STOP, {**usage(2), "timings": told}, kind="ollama")
    assert (completion.drafted, completion.accepted, completion.steps) == (3, 1, 1)


def test_sglang_may_tell_drafts_as_predictions() -> None:
    details = {"accepted_prediction_tokens": 4, "rejected_prediction_tokens": 5}
    closing = usage(8, completion_tokens_details=details)
    _, completion = answer(text("a"), STOP, closing, kind="sglang")
    assert (completion.drafted, completion.accepted, completion.steps) == (9, 4, 4)
    _, completion = answer(text("a"), STOP, closing)
    assert (completion.drafted, completion.accepted, completion.steps) == (None, None, None)


@pytest.mark.parametrize(("unmerged", "steps"), [(False, None), (True, 3)])
def test_chunks_that_may_hold_several_steps_are_not_counted_as_steps(
    unmerged: bool, steps: int | None
) -> None:
    so_far = [{"completion_tokens": n} for n in (1, 5, 8)]
    bodies = [text("x", usage=each) for each in so_far]
    _, completion = answer(*bodies, STOP, usage(8), kind="sglang", unmerged=unmerged)
    assert completion.steps == steps
    _, completion = answer(text("a"), text("b"), STOP, usage(2), kind="sglang", unmerged=unmerged)
    assert completion.steps == 2


@pytest.mark.parametrize("value", [-1, 1.5, 1e30, "7", True])
def test_usage_that_is_no_number_of_tokens(value: object) -> None:
    closing = {"choices": [], "usage": {"completion_tokens": value}}
    with pytest.raises(RequestError, match="is no number of tokens"):
        answer(text("a"), STOP, closing)


def test_durations_that_cannot_be_are_not_told() -> None:
    timings = {
        "predicted_n": 1,
        "prompt_ms": -1,
        "predicted_ms": float("nan"),
        "predicted_per_second": float("inf"),
    }
    _, completion = answer(text("a"), STOP, {**usage(1), "timings": timings})
    assert (completion.prefill_s, completion.decode_s, completion.decode_rate) == (None,) * 3


def test_a_reason_to_end_that_is_no_word_is_not_passed_on() -> None:
    stop = {"choices": [{"delta": {}, "finish_reason": "\x1b[2Jstop"}]}
    _, completion = answer(text("a"), stop, usage(1))
    assert completion.finish_reason == "unknown"
