"""What every runner must do, whatever it drives: runners/base/contract.py, as tests.

The modules that import them name the `STANDS` they are run on. The tests of one setting share one
server; those that end it come last.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    NextToken,
    Request,
    RequestError,
    Review,
    Server,
    StartError,
    UsageError,
)
from runners.base.speculation import AS_SERVED, Speculation
from runners.base.stream import fetch
from runners.endpoint.runner import Endpoint
from tests.contract.setting import (
    ACCEPTED,
    CACHED,
    COUNTERS,
    COUNTS,
    DRAFTED,
    IDS,
    NEXT,
    POSITIONS,
    PROMPT_TOKENS,
    STEPS,
    Setting,
    Stand,
)
from tests.models.export import Family

START_S = 300.0
SHORT_S = 0.01
"""No answer is complete after this."""
WHILE_S = 0.15
"""Long enough for a request to be on its way."""
MOST = 5
"""Next tokens asked for."""


@dataclass
class Said:
    """What a server said when it was asked in turn."""

    bursts: list[Burst]
    completion: Completion
    again: list[Burst]
    before: Counters | None
    between: Counters | None
    after: Counters | None
    first: tuple[NextToken, ...] | None
    second: tuple[NextToken, ...] | None
    review: Review


@dataclass
class Served:
    setting: Setting
    server: Server
    log: Path
    processes: list[psutil.Process]
    said: Said | None = None


async def told(server: Server, ask: Request) -> tuple[list[Burst], Completion]:
    """Bursts, and then exactly one completion."""
    parts = [part async for part in server.stream(ask)]
    *bursts, completion = parts
    assert isinstance(completion, Completion)
    whole = [burst for burst in bursts if isinstance(burst, Burst)]
    assert len(whole) == len(bursts)
    return whole, completion


async def begun(server: Server, ask: Request) -> asyncio.Task[None]:
    """An answer that is being read: its first burst is in, or it has been asked for a while, since
    some tell of bursts at the end alone."""
    first = asyncio.Event()

    async def read() -> None:
        async for _ in server.stream(ask):
            first.set()

    reading = asyncio.create_task(read())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(first.wait(), WHILE_S)
    return reading


def text(bursts: list[Burst]) -> str:
    return "".join(burst.text for burst in bursts)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


# ---- one server for all tests of a setting -------------------------------------------------------


@pytest.fixture(scope="module")
def setting(
    stand: Stand, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setting]:
    """Of each of the module's `STANDS`: conftest.py sees to it."""
    with stand.make(family, tmp_path_factory.mktemp("contract")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    setting: Setting, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    log = tmp_path_factory.mktemp("log") / "log"
    server = await setting.runner.start(setting.spec, log, START_S)
    processes = []
    if server.pid is not None and not setting.runner.attached:
        root = psutil.Process(server.pid)
        processes = [root, *root.children(recursive=True)]
    try:
        yield Served(setting, server, log, processes)
    finally:
        await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(served: Served) -> Said:
    """Asked once, for several tests."""
    server, ask = served.server, served.setting.ask
    before = await server.counters()
    bursts, completion = await told(server, ask)
    between = await server.counters()
    again, _ = await told(server, ask)
    after = await server.counters()
    first = second = None
    if not served.setting.drafts:
        ids = [token for burst in bursts for token in burst.token_ids or ()]
        first = await server.next_tokens(ask, (), MOST)
        second = await server.next_tokens(ask, ids[:1], MOST) if ids else None
    review = await server.review()
    return Said(bursts, completion, again, before, between, after, first, second, review)


# ---- before anything is started ------------------------------------------------------------------


async def test_it_is_found_with_all_that_must_be_told(setting: Setting) -> None:
    found = setting.runner.find()
    assert isinstance(found, Found)
    assert found.version.strip()
    assert found.where.strip()
    assert found.acceptance_source.strip()
    assert all(device.strip() for device in found.devices)
    assert found.starting_s >= 0
    assert [support.method for support in found.methods if support.supported]
    assert all(support.supported or support.note.strip() for support in found.methods)
    assert setting.runner.name.strip()


async def test_an_option_that_it_has_not_is_named(setting: Setting, tmp_path: Path) -> None:
    if setting.refused is None:
        pytest.skip("it passes on whatever it is given")
    spec = replace(setting.spec, options=(*setting.spec.options, setting.refused))
    name = setting.runner.canonical(setting.refused[0])
    either = f"{re.escape(setting.refused[0])}|{re.escape(name)}"
    with pytest.raises(UsageError, match=either):
        setting.runner.check(spec)
    before = children()
    with pytest.raises(UsageError, match=either):
        await setting.runner.start(spec, tmp_path / "log", START_S)
    assert children() <= before


async def test_the_launch_passes_its_own_check(setting: Setting) -> None:
    setting.runner.check(setting.spec)


@pytest.mark.parametrize("name", ["threads", "--ctx-size", "no-such", "cache_type_k", "-ngl", "x"])
async def test_the_one_name_of_an_option_is_its_own(setting: Setting, name: str) -> None:
    once = setting.runner.canonical(name)
    assert once
    assert setting.runner.canonical(once) == once


async def test_a_launch_can_be_pasted_and_holds_no_secret(setting: Setting) -> None:
    command = setting.runner.reproduce(setting.spec)
    assert command.strip()
    assert setting.secret is None or setting.secret not in command


async def test_a_model_that_is_not_there(setting: Setting, tmp_path: Path) -> None:
    if setting.missing is None:
        pytest.skip("it reads no model's files, or has been tried on plain decoding")
    before = children()
    with pytest.raises((UsageError, StartError)) as caught:
        await setting.runner.start(setting.missing, tmp_path / "log", START_S)
    assert str(caught.value).strip()
    assert children() <= before


# ---- answers -------------------------------------------------------------------------------------


async def test_bursts_come_in_order_and_add_up(said: Said, served: Served) -> None:
    times = [burst.at for burst in said.bursts]
    completion = said.completion
    assert times
    assert times == sorted(times)
    assert completion.sent_at <= times[0]
    assert times[-1] <= time.perf_counter()
    assert all(burst.tokens >= 0 for burst in said.bursts)
    assert said.bursts[0].tokens >= 1
    assert sum(burst.tokens for burst in said.bursts) == completion.output_tokens
    assert all(
        burst.token_ids is None or len(burst.token_ids) == burst.tokens for burst in said.bursts
    )


async def test_the_limit_is_kept(said: Said, served: Served) -> None:
    ask = served.setting.ask
    assert said.completion.output_tokens == ask.max_tokens
    assert said.completion.finish_reason == "length"


async def test_the_same_greedy_request_has_the_same_answer(said: Said) -> None:
    assert text(said.bursts)
    assert text(said.bursts) == text(said.again)
    if all(burst.token_ids is not None for burst in [*said.bursts, *said.again]):
        ids = [
            [t for b in bursts for t in b.token_ids or ()] for bursts in (said.bursts, said.again)
        ]
        assert ids[0] == ids[1]


async def test_what_it_tells_is_told_and_the_rest_is_none(said: Said, served: Served) -> None:
    completion = said.completion
    exposed = {
        IDS: all(burst.token_ids is not None for burst in said.bursts),
        PROMPT_TOKENS: completion.prompt_tokens is not None,
        CACHED: completion.cached_tokens is not None,
        DRAFTED: completion.drafted is not None,
        ACCEPTED: completion.accepted is not None,
        STEPS: completion.steps is not None,
        COUNTERS: said.between is not None,
        POSITIONS: said.between is not None and said.between.accepted_per_position is not None,
        COUNTS: completion.first_burst_at_most is None,
    }
    if not served.setting.drafts:
        exposed[NEXT] = said.first is not None
    expected = {name: name in served.setting.tells for name in exposed}
    assert exposed == expected
    known = served.setting.known
    assert {name: getattr(completion, name) for name in known} == known


async def test_times_and_rates_are_possible(said: Said) -> None:
    completion = said.completion
    for value in (completion.prefill_s, completion.decode_s, completion.decode_rate):
        assert value is None or (math.isfinite(value) and value >= 0)
    assert completion.peak_memory is None or completion.peak_memory > 0
    if completion.prompt_tokens is not None:
        assert completion.prompt_tokens > 0
        assert 0 <= (completion.cached_tokens or 0) <= completion.prompt_tokens
    if completion.first_burst_at_most is not None:
        assert said.bursts[0].tokens <= completion.first_burst_at_most


async def test_drafts_are_possible(said: Said, served: Served) -> None:
    completion = said.completion
    drafted, accepted, steps = completion.drafted, completion.accepted, completion.steps
    if not served.setting.drafts:
        assert drafted in (0, None)
        assert accepted in (0, None)
        assert steps in (completion.output_tokens, None)
        return
    tokens = completion.output_tokens or 0
    if drafted is not None and accepted is not None:
        assert 0 <= accepted <= drafted
        assert drafted > 0
    if steps is not None:
        assert 1 <= steps <= tokens
        if accepted is not None:
            # Each step yields its accepted tokens and one more; the last may be cut.
            assert tokens <= steps + accepted <= tokens + 8


async def test_counters_never_go_back_and_agree_with_the_answer(said: Said) -> None:
    readings = [said.before, said.between, said.after]
    if any(reading is None for reading in readings):
        assert readings == [None] * 3
        return
    before, between, after = (reading for reading in readings if reading is not None)
    for earlier, later in ((before, between), (between, after)):
        counted = later.since(earlier)
        assert counted.accepted >= 0
        assert counted.steps >= 0
        assert counted.drafted is None or counted.accepted <= counted.drafted
        positions = counted.accepted_per_position
        if positions is not None:
            assert all(count >= 0 for count in positions)
            assert sum(positions) == counted.accepted
    counted = between.since(before)
    if counted.drafted is not None and said.completion.drafted is not None:
        assert counted.drafted == said.completion.drafted
    if said.completion.accepted is not None:
        assert counted.accepted == said.completion.accepted


async def test_the_next_tokens_are_the_likeliest(said: Said) -> None:
    for top in (said.first, said.second):
        if top is None:
            continue
        assert 1 <= len(top) <= MOST
        logprobs = [token.logprob for token in top]
        assert all(math.isfinite(value) and value <= 1e-6 for value in logprobs)
        assert logprobs == sorted(logprobs, reverse=True)
        assert len({token.token for token in top}) == len(top)
    ids = [token for burst in said.bursts for token in burst.token_ids or ()]
    if said.first is not None and ids:
        assert said.first[0].token == ids[0]
        assert said.second is not None
        assert said.second[0].token == ids[1]


async def test_the_records_agree(said: Said) -> None:
    assert said.review.disagreement is None
    assert said.review.draft_limit is None or said.review.draft_limit >= 1


async def test_no_secret_stands_in_the_log(said: Said, served: Served) -> None:
    secret = served.setting.secret
    log = served.log.read_text(errors="replace") if served.log.exists() else ""
    assert secret is None or secret not in log


# ---- disturbances --------------------------------------------------------------------------------


async def serves_still(served: Served, said: Said) -> None:
    bursts, completion = await told(served.server, served.setting.ask)
    assert text(bursts) == text(said.bursts)
    assert completion.output_tokens == said.completion.output_tokens


async def test_a_limit_of_time_is_kept_and_the_server_serves_on(served: Served, said: Said) -> None:
    hasty = replace(served.setting.long, timeout_s=SHORT_S)
    with served.setting.slowly(), pytest.raises(RequestError) as caught:
        await told(served.server, hasty)
    assert str(caught.value).strip()
    assert not caught.value.server_lost
    await serves_still(served, said)


async def test_an_answer_that_is_left_leaves_the_server_usable(served: Served, said: Said) -> None:
    stream = served.server.stream(served.setting.ask)
    assert isinstance(await anext(stream), Burst)
    await stream.aclose()  # type: ignore[attr-defined]
    with served.setting.slowly():
        reading = await begun(served.server, served.setting.long)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await serves_still(served, said)
    await served.server.review()


async def test_an_endpoint_sees_what_the_launch_tells(
    served: Served, said: Said, tmp_path: Path
) -> None:
    """The launch's own server, asked as if it were somebody else's."""
    address = served.setting.pages(served.server)
    if address is None:
        pytest.skip("it has no OpenAI-compatible API")
    endpoint = Endpoint(address)
    spec = LaunchSpec(None, Speculation(AS_SERVED))
    visiting = await endpoint.start(spec, tmp_path / "log", START_S)
    before = await visiting.counters()
    bursts, completion = await told(visiting, served.setting.ask)
    after = await visiting.counters()
    await visiting.stop()
    assert visiting.pid is not None
    assert text(bursts) == text(said.bursts)
    ours = said.completion
    fields = ("output_tokens", "finish_reason", "prompt_tokens", "drafted", "accepted", "steps")
    assert {name: getattr(completion, name) for name in fields} == {
        name: getattr(ours, name) for name in fields
    }
    if before is not None and after is not None:
        assert after.since(before).accepted == ours.accepted
    await serves_still(served, said)


# ---- the end -------------------------------------------------------------------------------------


async def test_a_server_that_is_lost_is_told(served: Served, said: Said) -> None:
    with served.setting.slowly():
        reading = await begun(served.server, served.setting.long)
        served.setting.kill(served.server)
        with pytest.raises(RequestError) as caught:
            await reading
    assert caught.value.server_lost
    assert str(caught.value).strip()
    with pytest.raises(RequestError) as caught:
        await told(served.server, served.setting.ask)
    assert caught.value.server_lost
    await served.server.review()


async def test_stopping_twice_leaves_nothing(setting: Setting, served: Served) -> None:
    await served.server.stop()
    await served.server.stop()
    await served.server.review()
    _, alive = psutil.wait_procs(served.processes, timeout=10)
    assert not alive
    address = served.setting.pages(served.server)
    if address is not None:
        with pytest.raises(RequestError, match="no connection"):
            await fetch(f"{address}/health", timeout_s=5)


async def test_a_server_that_is_stopped_while_it_serves(setting: Setting, tmp_path: Path) -> None:
    if setting.drafts or setting.runner.attached:
        pytest.skip("it has been tried on plain decoding, or the server is not ours to stop")
    server = await setting.runner.start(setting.spec, tmp_path / "log", START_S)
    assert server.pid is not None
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    reading = await begun(server, setting.long)
    await server.stop()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    with contextlib.suppress(RequestError):
        await reading
