from __future__ import annotations

import os
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure import Place, ServerLostError, measure, speed
from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    LaunchSpec,
    Message,
    Request,
    RequestError,
)
from runners.base.speculation import Speculation
from runners.mock import MockRunner

PLACE = Place(arm="a", round=1, workload="w", prompt="p", max_tokens=64, launch="r1-a", sequence=0)
ASK = Request((Message("user", "Tell me of the sea."),), max_tokens=64, timeout_s=30)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=30),
    step=st.floats(0.001, 2),
    ttft=st.floats(0.001, 5),
)
def test_decode_rate_leaves_the_first_burst_out(sizes: list[int], step: float, ttft: float) -> None:
    bursts = [Burst(10 + ttft + i * step, n, "") for i, n in enumerate(sizes)]
    seen = speed(10, bursts)
    assert seen.ttft_s == pytest.approx(ttft)
    assert seen.first_burst_tokens == sizes[0]
    assert seen.decode_rate == pytest.approx(sum(sizes[1:]) / (step * (len(sizes) - 1)))


def test_an_answer_of_one_burst_has_no_decode_rate() -> None:
    assert speed(0, [Burst(1.0, 8, "x")]).decode_rate is None


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 3, 8])
@pytest.mark.parametrize("write", ["token", "step"])
async def test_rate_is_the_mocks_known_truth(tmp_path: Path, first: int, write: str) -> None:
    options = (
        ("bursts", "4,1,8,2,7,3,6,5"),
        ("first-burst", first),
        ("step-ms", 20),
        ("write", write),
    )
    spec = LaunchSpec(None, Speculation("mtp", 7), options)
    request = Request(ASK.messages, max_tokens=200, timeout_s=30)
    server = await MockRunner().start(spec, tmp_path / "log", 20)
    errors = []
    try:
        for _ in range(5):
            sample = await measure(server, request, PLACE, keep_text=True)
            assert sample.first_burst_tokens == first
            assert sample.output_tokens == 200
            assert sample.steps == len(sample.bursts)
            assert sum(tokens for _, tokens in sample.bursts) == 200
            assert sample.tokens is not None
            assert len(sample.tokens) == 200
            assert sample.decode_rate is not None
            assert sample.runner_decode_rate is not None
            errors.append(sample.decode_rate / sample.runner_decode_rate - 1)
    finally:
        await server.stop()
    # A busy machine wakes a process late now and then, but not in most of the requests.
    assert abs(statistics.median(errors)) < 0.001


class Scripted:
    """A server whose answer is given; only what `measure` makes of it is under test."""

    pid = 0

    def __init__(self, *parts: Burst | Completion | RequestError) -> None:
        self.parts = parts
        self.readings = iter([Counters(10, 5, 20, (4, 1)), Counters(14, 8, 23, (6, 2))])

    async def stream(self, _request: Request) -> AsyncIterator[Burst | Completion]:
        for part in self.parts:
            if isinstance(part, RequestError):
                raise part
            yield part

    async def counters(self) -> Counters | None:
        return next(self.readings)

    async def stop(self) -> None: ...


BURST = Burst(1.5, 1, "a")


async def test_counters_fill_what_the_response_does_not_say() -> None:
    server = Scripted(BURST, Burst(2.0, 2, "b\ud800"), Completion(1.0, 3, "length"))
    sample = await measure(server, ASK, PLACE, keep_text=True)
    assert (sample.drafted, sample.accepted, sample.steps) == (4, 3, 3)
    assert sample.accepted_per_position == (2, 1)
    assert (sample.ttft_s, sample.decode_rate) == (0.5, 4.0)
    assert sample.text == "ab?"
    assert sample.tokens is None
    assert sample.prompt_tokens is None


async def test_memory_is_the_larger_of_what_is_resident_and_what_the_runner_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scripted, "pid", os.getpid())
    found = []
    for told in (None, 1, 1 << 50):
        completion = Completion(1.0, 1, "stop", drafted=4, accepted=3, peak_memory=told)
        sample = await measure(Scripted(BURST, completion), ASK, PLACE, keep_text=False)
        found.append(sample.runner_peak_memory or 0)
    assert min(found) > 1_000_000
    assert found[2] == 1 << 50


async def test_steps_of_the_response_win_over_the_counters() -> None:
    completion = Completion(1.0, 1, "stop", drafted=4, accepted=3, steps=1)
    sample = await measure(Scripted(BURST, completion), ASK, PLACE, keep_text=False)
    assert sample.status == "ok"
    assert (sample.drafted, sample.accepted, sample.steps) == (4, 3, 1)
    assert sample.text is None
    assert sample.tokens is None
    assert sample.text_sha256 is not None


@pytest.mark.parametrize(
    ("drafted", "accepted", "reason"),
    [
        (9, 3, "the response says 9 tokens were drafted, the counters say 4"),
        (4, 0, "the response says 0 tokens were accepted, the counters say 3"),
        (None, 2, "the response says 2 tokens were accepted, the counters say 3"),
    ],
)
async def test_drafts_that_two_sources_count_differently_fail_the_sample(
    drafted: int | None, accepted: int, reason: str
) -> None:
    completion = Completion(1.0, 1, "stop", drafted=drafted, accepted=accepted)
    sample = await measure(Scripted(BURST, completion), ASK, PLACE, keep_text=True)
    assert (sample.status, sample.reason) == ("failed", reason)


async def test_tokens_that_do_not_add_up_fail_the_sample() -> None:
    sample = await measure(Scripted(BURST, Completion(1.0, 5, "stop")), ASK, PLACE, keep_text=True)
    assert sample.status == "failed"
    assert sample.reason == "the runner counts 5 tokens but streamed 1"


async def test_an_answer_without_tokens_is_a_failure() -> None:
    sample = await measure(Scripted(Completion(1.0, 0, "stop")), ASK, PLACE, keep_text=True)
    assert (sample.status, sample.reason) == ("failed", "the runner sent no token")
    assert sample.decode_rate is None


async def test_a_refused_request_is_a_failed_sample() -> None:
    server = Scripted(BURST, RequestError("HTTP 400: too long"))
    sample = await measure(server, ASK, PLACE, keep_text=True)
    assert (sample.status, sample.reason) == ("failed", "HTTP 400: too long")


async def test_a_lost_server_is_told_apart() -> None:
    server = Scripted(BURST, RequestError("gone", server_lost=True))
    with pytest.raises(ServerLostError) as caught:
        await measure(server, ASK, PLACE, keep_text=True)
    assert caught.value.sample.reason == "gone"


async def test_what_a_server_of_somebody_elses_does_not_tell_is_unknown() -> None:
    server = Scripted(
        BURST, Burst(2.0, 2, "bc"), Completion(1.0, 3, "length", first_burst_at_most=2)
    )
    server.pid = None  # type: ignore[assignment]
    server.readings = iter([Counters(None, 5, 20), Counters(None, 8, 23)])
    sample = await measure(server, ASK, PLACE, keep_text=True)
    assert sample.status == "ok"
    assert sample.first_burst_at_most == 2
    assert (sample.drafted, sample.accepted, sample.steps) == (None, 3, 3)
    assert sample.machine_cpu_s is None
    assert sample.runner_cpu_s is None
    assert sample.runner_peak_memory is None
