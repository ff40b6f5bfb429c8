from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import Burst, RequestError
from runners.llama_cpp.stream import Bursts, Piece


def event(generated: int, ms: float, tokens: list[int], **changes: Any) -> str:
    timings = {
        "predicted_n": generated,
        "predicted_ms": ms,
        "prompt_n": 9,
        "cache_n": 1,
        "prompt_ms": 20.0,
        "predicted_per_second": 50.0,
        **changes.pop("timings", {}),
    }
    body = {"content": "x" * len(tokens), "tokens": tokens, "stop": False, "timings": timings}
    return json.dumps(body | changes)


def closing(generated: int, ms: float, **timings: int) -> str:
    return event(generated, ms, [], stop=True, stop_type="limit", timings=timings)


def read(events: list[str]) -> tuple[list[Burst], int | None]:
    bursts = Bursts()
    found = [bursts.add(float(at), Piece.parse(text)) for at, text in enumerate(events)]
    found.append(bursts.close())
    return [burst for burst in found if burst is not None], bursts.steps


def test_a_build_that_does_not_tell_what_it_cached() -> None:
    body = json.loads(closing(3, 30.0))
    del body["timings"]["cache_n"]
    completion = Piece.parse(json.dumps(body)).completion(0.0, 3)
    assert (completion.prompt_tokens, completion.cached_tokens) == (9, None)


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20))
def test_events_of_one_time_are_one_step(sizes: list[int]) -> None:
    events, generated = [], 0
    for step, size in enumerate(sizes):
        for _ in range(size):
            generated += 1
            events.append(event(generated, 10.0 * step, [generated]))
    events.append(closing(generated, 10.0 * len(sizes)))
    bursts, steps = read(events)
    assert [burst.tokens for burst in bursts] == sizes
    assert steps == len(sizes)
    assert [token for burst in bursts for token in burst.token_ids or ()] == list(
        range(1, generated + 1)
    )
    # A burst is stamped with the arrival of its first token.
    assert [burst.at for burst in bursts] == [sum(sizes[:n]) for n in range(len(sizes))]


def test_builds_that_count_a_step_before_they_send_it() -> None:
    # As b9093 does: all events of a step tell of all its tokens, and the limit cuts the last one.
    events = [
        event(1, 0.001, [5]),
        *(event(4, 30.0, [token]) for token in (6, 7, 8)),
        event(7, 60.0, [9]),
        closing(7, 60.0, draft_n=6, draft_n_accepted=4),
    ]
    bursts = Bursts()
    pieces = [Piece.parse(text) for text in events]
    found = [bursts.add(float(at), piece) for at, piece in enumerate(pieces)]
    found.append(bursts.close())
    whole = [burst for burst in found if burst is not None]
    assert [burst.token_ids for burst in whole] == [(5,), (6, 7, 8), (9,)]
    assert [burst.at for burst in whole] == [0.0, 1.0, 4.0]
    assert (bursts.steps, bursts.undelivered) == (3, 2)
    assert pieces[-1].completion(0.0, bursts.steps, bursts.undelivered).output_tokens == 5


def test_progress_events_are_no_tokens() -> None:
    bursts, _ = read(
        [event(0, 0.0, [0]), event(0, 0.0, [0]), event(1, 0.001, [7]), closing(1, 1.0)]
    )
    assert bursts == [Burst(2.0, 1, "x", (7,))]


def test_tokens_held_back_are_counted_where_they_arrive() -> None:
    # Tokens 2 and 3 make no whole character yet; the event of token 4 tells of its own id alone.
    events = [event(1, 0.001, [5]), event(4, 30.0, [8]), event(5, 40.0, [9]), closing(7, 60.0)]
    bursts, steps = read(events)
    assert [burst.tokens for burst in bursts] == [1, 3, 1, 2]
    assert [burst.token_ids for burst in bursts] == [(5,), None, (9,), None]
    assert steps is None
    last = Piece.parse(closing(7, 60.0, draft_n=6, draft_n_accepted=3))
    assert last.completion(0.0, steps).steps == 4


def test_what_the_closing_event_says() -> None:
    said = Piece.parse(closing(40, 800.0, draft_n=12, draft_n_accepted=9)).completion(5.0, 31)
    assert (said.output_tokens, said.prompt_tokens, said.cached_tokens) == (40, 10, 1)
    assert (said.drafted, said.accepted, said.steps) == (12, 9, 31)
    assert (said.prefill_s, said.decode_s, said.decode_rate) == (0.02, 0.8, 50.0)
    assert said.finish_reason == "length"
    assert Piece.parse(closing(1, 1.0)).completion(0.0, 1).drafted == 0


@pytest.mark.parametrize(
    "data",
    ["", "null", "[]", "3", "{", '{"content": 1}', event(1, 1.0, []).replace("predicted_n", "n")],
)
def test_events_that_cannot_be_read(data: str) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        Piece.parse(data)


def test_an_error_in_the_stream() -> None:
    with pytest.raises(RequestError, match=r"answered with an error: .*too long"):
        Piece.parse('{"error": {"message": "too long"}}')


@given(st.text(max_size=200))
def test_any_text_is_an_event_or_a_request_error(text: str) -> None:
    try:
        Piece.parse(text)
    except RequestError:
        return
