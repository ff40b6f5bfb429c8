"""Lines of Ollama's streams."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import RequestError
from runners.ollama.stream import Answer, Line

END = {
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 20,
    "prompt_eval_duration": 500_000_000,
    "eval_duration": 2_000_000_000,
}


def answer(
    *texts: tuple[float, str], plain: bool = False, end_at: float = 9.0, **end: object
) -> Answer:
    made = Answer(plain=plain)
    for at, text in texts:
        made.add(Line.parse(at, json.dumps({"response": text, "done": False})))
    made.add(Line.parse(end_at, json.dumps({"response": "", **END, **end})))
    return made


def test_the_token_that_ends_a_text_has_none_of_its_own() -> None:
    bursts, completion = answer((1.0, "a"), (2.0, "b"), eval_count=3).finish(0.5, None)
    assert [(burst.at, burst.tokens, burst.text) for burst in bursts] == [
        (1.0, 1, "a"),
        (2.0, 1, "b"),
        (9.0, 1, ""),
    ]
    assert completion.first_burst_at_most is None
    assert (completion.sent_at, completion.finish_reason) == (0.5, "stop")
    assert completion.decode_rate == pytest.approx(1.5)


def test_lines_that_came_in_together_are_a_burst() -> None:
    made = answer((1.0, "a"), (2.0, "b"), (2.0, "c"), eval_count=3, done_reason="length")
    bursts, completion = made.finish(0, None)
    assert [(burst.at, burst.tokens, burst.text) for burst in bursts] == [
        (1.0, 1, "a"),
        (2.0, 2, "bc"),
    ]
    assert completion.first_burst_at_most is None


def test_what_the_first_may_hold() -> None:
    made = answer((1.0, "abcd"), (2.0, "b"), eval_count=5, done_reason="length")
    bursts, completion = made.finish(0, None)
    assert 1 < bursts[0].tokens <= 4
    assert sum(burst.tokens for burst in bursts) == 5
    assert completion.first_burst_at_most == 4


@pytest.mark.parametrize(
    ("told", "known", "cached", "prefill_s"),
    [(None, None, None, None), (None, 0, 0, 0.5), (4, None, 4, 0.5), (4, 0, 4, 0.5)],
)
def test_the_time_of_a_prompt_is_that_of_its_uncached_part(
    told: int | None, known: int | None, cached: int | None, prefill_s: float | None
) -> None:
    made = answer((1.0, "a"), eval_count=1, prompt_eval_cached_count=told)
    _, completion = made.finish(0, known)
    assert (completion.cached_tokens, completion.prefill_s) == (cached, prefill_s)
    assert completion.prompt_tokens == 20


def test_plain_answers_and_others() -> None:
    _, plain = answer((1.0, "a"), plain=True, eval_count=1).finish(0, None)
    assert (plain.drafted, plain.accepted, plain.steps) == (0, 0, 1)
    _, other = answer((1.0, "a"), eval_count=1).finish(0, None)
    assert (other.drafted, other.accepted, other.steps) == (None, None, None)


def test_thinking_is_generated_too() -> None:
    said = {"message": {"role": "assistant", "content": "b", "thinking": "a"}, "done": False}
    assert Line.parse(1.0, json.dumps(said)).text == "ab"


@pytest.mark.parametrize("count", [-3, 2.5, 1e30, "7", float("nan")])
def test_what_is_no_number_of_tokens(count: object) -> None:
    for field in ("eval_count", "prompt_eval_count", "prompt_eval_cached_count"):
        with pytest.raises(RequestError, match="cannot be read"):
            answer((1.0, "a"), **{"eval_count": 1, field: count}).finish(0, 0)


@pytest.mark.parametrize("duration", [-5, float("nan"), float("inf"), None])
def test_durations_that_cannot_be_are_not_told(duration: object) -> None:
    made = answer((1.0, "a"), eval_count=2, eval_duration=duration, prompt_eval_duration=duration)
    _, completion = made.finish(0, 0)
    assert (completion.prefill_s, completion.decode_s, completion.decode_rate) == (None,) * 3


def test_answers_that_are_broken() -> None:
    with pytest.raises(RequestError, match="without its last line"):
        Answer(plain=True).finish(0, None)
    with pytest.raises(RequestError, match="how many tokens"):
        answer((1.0, "a")).finish(0, None)
    with pytest.raises(RequestError, match="cannot be read"):
        answer((1.0, "a"), eval_count="some").finish(0, None)
    with pytest.raises(RequestError, match="the runner answered with an error: oh no"):
        Line.parse(1.0, '{"error": "oh no"}')
    with pytest.raises(RequestError, match="cannot be read"):
        Line.parse(1.0, '{"message": 3}')


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.text(max_size=4)), max_size=12),
    st.integers(0, 40),
    st.sampled_from(["stop", "length"]),
)
def test_shares_add_up(texts: list[tuple[int, str]], tokens: int, reason: str) -> None:
    chunks = sorted(((float(at), text) for at, text in texts), key=lambda chunk: chunk[0])
    made = answer(*chunks, eval_count=tokens, done_reason=reason)
    wordless = not any(text for _, text in chunks)
    if (tokens and wordless and reason == "length") or (not tokens and not wordless):
        with pytest.raises(RequestError):
            made.finish(0, None)
        return
    bursts, completion = made.finish(0, None)
    assert sum(burst.tokens for burst in bursts) == tokens
    assert all(burst.tokens > 0 for burst in bursts)
    assert "".join(burst.text for burst in bursts) == "".join(text for _, text in chunks)
    if completion.first_burst_at_most is not None:
        assert bursts[0].tokens <= completion.first_burst_at_most <= tokens
