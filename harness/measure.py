"""One request to one server, as one sample."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.machine.throttling import Throttling
from harness.machine.usage import Usage, read_usage
from harness.records import Sample
from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Request,
    RequestError,
    RunnerError,
    Server,
)

MICROSECONDS = 6


@dataclass(frozen=True)
class Place:
    """Where a sample stands in its run."""

    arm: str
    round: int
    workload: str
    prompt: str
    max_tokens: int
    launch: str
    sequence: int


@dataclass(frozen=True)
class Speed:
    """What the arrivals alone say of one answer."""

    ttft_s: float
    decode_s: float
    first_burst_tokens: int
    decode_rate: float | None
    """None for an answer that came in a single burst: nothing was generated after it."""


def speed(sent_at: float, bursts: list[Burst]) -> Speed:
    """TTFT and decode rate from the bursts of one answer, of which there is at least one.

    The tokens of the first burst came with the prefill, so they are not counted as generated
    after it: decode rate = (tokens - first burst's tokens) / (last arrival - first arrival).
    """
    first, last = bursts[0], bursts[-1]
    decode_s = last.at - first.at
    later = sum(burst.tokens for burst in bursts[1:])
    return Speed(
        ttft_s=first.at - sent_at,
        decode_s=decode_s,
        first_burst_tokens=first.tokens,
        decode_rate=later / decode_s if decode_s > 0 else None,
    )


async def measure(server: Server, request: Request, place: Place, *, keep_text: bool) -> Sample:
    """Send one request and time it. A request that fails is a failed sample, not an exception.

    Raises:
        ServerLostError: the sample is made, but the server can take no further request.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    bursts: list[Burst] = []
    completion: Completion | None = None
    begun = time.perf_counter()
    try:
        counters_before = await server.counters()
        before = _usage(server)
        begun = time.perf_counter()
        async for part in server.stream(request):
            if isinstance(part, Burst):
                bursts.append(part)
            else:
                completion = part
        ended = time.perf_counter()
        after = _usage(server)
        counters_after = await server.counters()
        if completion is None or not bursts:
            raise RequestError("the runner sent no token")
    except RunnerError as error:
        wall_s = time.perf_counter() - begun
        failed = failed_sample(place, str(error), started_at=started_at, wall_s=wall_s)
        if isinstance(error, RequestError) and error.server_lost:
            raise ServerLostError(failed) from None
        return failed
    return _sample(
        place,
        started_at,
        bursts,
        completion,
        counters=_difference(counters_before, counters_after),
        wall_s=ended - completion.sent_at,
        usage=None if before is None or after is None else after.since(before),
        keep_text=keep_text,
    )


def failed_sample(place: Place, reason: str, *, started_at: str, wall_s: float = 0.0) -> Sample:
    """A request that has no figures, and why."""
    return Sample(
        **vars(place),
        started_at=started_at,
        status="failed",
        reason=reason,
        wall_s=round(wall_s, MICROSECONDS),
    )


class ServerLostError(Exception):
    """The server died or hangs; `sample` is the failed request that showed it."""

    def __init__(self, sample: Sample) -> None:
        super().__init__(sample.reason)
        self.sample = sample


def _usage(server: Server) -> Usage | None:
    """None of a runner on another machine."""
    return None if server.pid is None else read_usage(server.pid)


def _difference(before: Counters | None, after: Counters | None) -> Counters | None:
    return after.since(before) if before is not None and after is not None else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _contradiction(completion: Completion, streamed: int, counters: Counters | None) -> str | None:
    """Two counts of the same thing that differ, both of them told."""
    if completion.output_tokens is not None and completion.output_tokens != streamed:
        return f"the runner counts {completion.output_tokens} tokens but streamed {streamed}"
    if counters is not None:
        for what, said, counted in (
            ("drafted", completion.drafted, counters.drafted),
            ("accepted", completion.accepted, counters.accepted),
        ):
            if None not in (said, counted) and said != counted:
                return f"the response says {said} tokens were {what}, the counters say {counted}"
    return None


def _sample(
    place: Place,
    started_at: str,
    bursts: list[Burst],
    completion: Completion,
    *,
    counters: Counters | None,
    wall_s: float,
    usage: Usage | None,
    keep_text: bool,
) -> Sample:
    seen = speed(completion.sent_at, bursts)
    # Half a surrogate pair, which JSON can carry, is no text that a file can hold.
    text = "".join(burst.text for burst in bursts).encode(errors="replace").decode()
    streamed = sum(burst.tokens for burst in bursts)
    ids = [burst.token_ids for burst in bursts]
    tokens = tuple(token for part in ids if part is not None for token in part)
    start = bursts[0].at
    throttling = Throttling() if usage is None else usage.throttling
    reason = _contradiction(completion, streamed, counters)
    return Sample(
        **vars(place),
        started_at=started_at,
        status="ok" if reason is None else "failed",
        reason=reason,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        output_tokens=streamed,
        finish_reason=completion.finish_reason,
        wall_s=round(wall_s, MICROSECONDS),
        ttft_s=round(seen.ttft_s, MICROSECONDS),
        decode_s=round(seen.decode_s, MICROSECONDS),
        first_burst_tokens=seen.first_burst_tokens,
        first_burst_at_most=completion.first_burst_at_most,
        decode_rate=seen.decode_rate,
        tpot_s=None if seen.decode_rate is None else 1 / seen.decode_rate,
        bursts=tuple((round(burst.at - start, MICROSECONDS), burst.tokens) for burst in bursts),
        runner_prefill_s=completion.prefill_s,
        runner_decode_s=completion.decode_s,
        runner_decode_rate=completion.decode_rate,
        drafted=_first(completion.drafted, counters.drafted if counters else None),
        accepted=_first(completion.accepted, counters.accepted if counters else None),
        steps=_first(completion.steps, counters.steps if counters else None),
        accepted_per_position=counters.accepted_per_position if counters else None,
        text=text if keep_text else None,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        # Ids can be read back as text, so they go where the text goes.
        tokens=tokens if keep_text and all(part is not None for part in ids) else None,
        machine_cpu_s=None if usage is None else round(usage.machine_cpu_s, 3),
        runner_cpu_s=None if usage is None else round(usage.runner_cpu_s, 3),
        machine_idle_s=None if usage is None else round(usage.machine_idle_s, 3),
        runner_major_faults=None if usage is None else usage.runner_major_faults,
        cpu_throttled=throttling.cpu_events,
        gpu_throttled=throttling.gpu_reasons,
        gpu_clock_mhz=throttling.gpu_clock_mhz,
        gpu_temperature_c=throttling.gpu_temperature_c,
        runner_peak_memory=max(
            0 if usage is None else usage.runner_peak_memory, completion.peak_memory or 0
        )
        or None,
    )
