from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import random
import shlex
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    Message,
    OptionValue,
    Request,
    RequestError,
    Runner,
    Server,
    StartError,
    UsageError,
)
from runners.base.speculation import METHODS, Speculation, SyntheticAcceptance
from runners.mock import OPTIONS, SCRIPTED, MockRunner, script_of
from runners.mock_server import (
    DRAFTS_NOTHING,
    END,
    FAULTS,
    Asked,
    ChatMessage,
    Script,
    Step,
    luck,
    plan_steps,
    text_tokens,
)

PLAIN = Speculation()
QUICK: dict[str, OptionValue] = {"step-ms": 1, "prefill-ms": 1}
RUNNER: Runner = MockRunner()


def spec(speculation: Speculation = PLAIN, **options: OptionValue) -> LaunchSpec:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return LaunchSpec(None, speculation, tuple((QUICK | named).items()))


def mtp(k: int = 4) -> Speculation:
    return Speculation("mtp", k)


def ask(max_tokens: int = 24, prompt: str = "Write a loop.", timeout_s: float = 20.0) -> Request:
    return Request((Message("user", prompt),), max_tokens, timeout_s=timeout_s)


def asked(max_tokens: int = 24, prompt: str = "Write a loop.") -> Asked:
    message = ChatMessage(role="user", content=prompt)
    return Asked(messages=[message], max_tokens=max_tokens, temperature=0.0, seed=0, probe=False)


@asynccontextmanager
async def launched(launch: LaunchSpec, log_folder: Path) -> AsyncIterator[Server]:
    server = await RUNNER.start(launch, log_folder / "mock.log", 20.0)
    try:
        yield server
    finally:
        await server.stop()


async def generate(server: Server, request: Request) -> tuple[list[Burst], Completion]:
    parts = [part async for part in server.stream(request)]
    bursts = [part for part in parts if isinstance(part, Burst)]
    last = parts[-1]
    assert isinstance(last, Completion)
    assert len(bursts) == len(parts) - 1
    return bursts, last


def text(bursts: list[Burst]) -> str:
    return "".join(burst.text for burst in bursts)


# ---- the truth and what a client sees of it ----------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("write", ["token", "step"])
async def test_the_rate_agrees_with_the_servers_own(tmp_path: Path, write: str) -> None:
    """Within 0.1%, for bursts of 1 to 8 tokens and a first burst of 1 to 8."""
    for size in range(1, 9):
        bursts = f"{size},{9 - size}"
        launch = spec(
            mtp(7), bursts=bursts, first_burst=size, step_ms=20, write=write, output_tokens=270
        )
        async with launched(launch, tmp_path) as server:
            off = []
            # Another process may hold the core at the first or last arrival: then once more.
            for _ in range(6):
                got, truth = await generate(server, ask(300))
                assert [burst.tokens for burst in got[:3]] == [size, 9 - size, size]
                rate = sum(burst.tokens for burst in got[1:]) / (got[-1].at - got[0].at)
                assert truth.decode_rate is not None
                off.append(abs(rate / truth.decode_rate - 1))
                if off[-1] < 0.001:
                    break
            assert min(off) < 0.001, f"{bursts}: off by {off}"


@pytest.mark.parametrize("write", ["token", "step"])
async def test_bursts_are_the_servers_steps(tmp_path: Path, write: str) -> None:
    async with launched(spec(mtp(), bursts="3,1,4", write=write), tmp_path) as server:
        before = await server.counters()
        bursts, end = await generate(server, ask(18))
        after = await server.counters()
    assert [burst.tokens for burst in bursts] == [3, 1, 4, 3, 1, 4, 2]
    assert [len(burst.token_ids or ()) for burst in bursts] == [3, 1, 4, 3, 1, 4, 2]
    assert [burst.at for burst in bursts] == sorted(burst.at for burst in bursts)
    assert end.sent_at < bursts[0].at
    assert end.output_tokens == 18
    assert end.finish_reason == "length"
    assert end.steps == 7
    assert end.accepted == 11
    # Four rows a step, but never more than the answer has room for: 4, 4, 4, 4, 4, 4, 1.
    assert end.drafted == 25
    assert end.prompt_tokens == 4
    assert end.cached_tokens == 0
    assert before is not None
    assert after is not None
    assert after.since(before) == Counters(25, 11, 7, (5, 4, 2))


async def test_greedy_text_is_the_same_for_every_method(tmp_path: Path) -> None:
    texts, ids = set(), set()
    for speculation in (PLAIN, mtp(2), Speculation("ngram-mod", 6)):
        async with launched(spec(speculation), tmp_path) as server:
            bursts, _ = await generate(server, ask())
            again, _ = await generate(server, ask())
            other, _ = await generate(server, ask(prompt="Something else."))
        texts |= {text(bursts), text(again)}
        ids.add(sum((burst.token_ids or () for burst in bursts), ()))
        assert text(other) not in texts
    assert len(texts) == len(ids) == 1


async def test_plain_decoding_drafts_nothing(tmp_path: Path) -> None:
    async with launched(spec(), tmp_path) as server:
        bursts, end = await generate(server, ask(9))
    assert [burst.tokens for burst in bursts] == [1] * 9
    assert (end.drafted, end.accepted, end.steps) == (0, 0, 9)


async def test_a_natural_end(tmp_path: Path) -> None:
    async with launched(spec(output_tokens=5), tmp_path) as server:
        _, natural = await generate(server, ask(9))
        _, cut = await generate(server, ask(5))
    assert (natural.output_tokens, natural.finish_reason) == (5, "stop")
    assert (cut.output_tokens, cut.finish_reason) == (5, "length")


async def test_several_requests_at_once(tmp_path: Path) -> None:
    async with launched(spec(mtp(), bursts="2,3"), tmp_path) as server:
        requests = [ask(20, prompt=f"Prompt {i}") for i in range(8)]
        answers = await asyncio.gather(*(generate(server, request) for request in requests))
        counters = await server.counters()
    assert len({text(bursts) for bursts, _ in answers}) == 8
    assert counters is not None
    assert counters.accepted == sum(end.accepted or 0 for _, end in answers)


async def test_stop_leaves_nothing_and_may_be_called_twice(tmp_path: Path) -> None:
    server = await RUNNER.start(spec(), tmp_path / "mock.log", 20.0)
    assert "mock_server" in " ".join(psutil.Process(server.pid).cmdline())
    await server.stop()
    await server.stop()
    assert not psutil.pid_exists(server.pid)
    with pytest.raises(RequestError, match=r"refused|exited|killed") as caught:
        await generate(server, ask())
    assert caught.value.server_lost


# ---- faults ------------------------------------------------------------------------------------


async def test_die_at_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="exited with status 1") as caught:
        await RUNNER.start(spec(fault="die-at-start"), tmp_path / "mock.log", 20.0)
    assert "told to die at start" in caught.value.log_tail


async def test_hang_at_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="said nothing"):
        await RUNNER.start(spec(fault="hang-at-start"), tmp_path / "mock.log", 0.5)


async def test_refuse_speculation(tmp_path: Path) -> None:
    launch = spec(mtp(), fault="refuse-speculation")
    with pytest.raises(StartError, match=r"asked for mtp, but it serves .* none"):
        await RUNNER.start(launch, tmp_path / "mock.log", 20.0)
    async with launched(spec(fault="refuse-speculation"), tmp_path) as server:
        await generate(server, ask(3))


@pytest.mark.parametrize(
    ("fault", "words", "lost"),
    [
        ("die-in-request", "was killed by SIGSEGV during the request", True),
        ("garbage", "does not speak HTTP", False),
        ("http-500", "HTTP 500: the mock was told to fail", False),
        ("hang-in-request", "no end after 0.5 s", False),
        ("slow-death", "closed the connection before the end", True),
    ],
)
async def test_faults_in_requests(tmp_path: Path, fault: str, words: str, lost: bool) -> None:
    async with launched(spec(mtp(), fault=fault, fault_after=1), tmp_path) as server:
        _, fine = await generate(server, ask(12))
        assert fine.output_tokens == 12
        parts = []
        with pytest.raises(RequestError, match=words) as caught:  # noqa: PT012
            async for part in server.stream(ask(12, timeout_s=0.5)):
                parts.append(part)  # noqa: PERF401
        assert caught.value.server_lost == lost
        # It breaks half-way, but for the status 500, which comes at once.
        assert bool(parts) == (fault != "http-500")
    assert not psutil.pid_exists(server.pid)


async def test_drafts_nothing(tmp_path: Path) -> None:
    async with launched(spec(mtp(), fault="drafts-nothing", fault_after=1), tmp_path) as server:
        _, first = await generate(server, ask())
        bursts, second = await generate(server, ask())
    assert first.drafted
    assert second.drafted == 0
    assert {burst.tokens for burst in bursts} == {1}


# ---- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step-ms", "fast"),
        ("step-ms", -1),
        ("step-ms", "nan"),
        ("step-ms", True),
        ("acceptance", 1.01),
        ("acceptance", ""),
        ("bursts", "0"),
        ("bursts", "1,,2"),
        ("bursts", 2.5),
        ("first-burst", 0),
        ("output-tokens", 0),
        ("diverge-at", -1),
        ("fault", "explode"),
        ("fault-after", 1e9),
        ("write", "byte"),
    ],
)
def test_a_bad_value_is_named(name: str, value: OptionValue) -> None:
    with pytest.raises(UsageError, match=f"option {name} takes"):
        RUNNER.check(LaunchSpec(None, mtp(), ((name, value),)))


def test_an_unknown_option_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no option 'step_ms'.*step-ms.*acceptance.*fault"):
        RUNNER.check(LaunchSpec(None, options=(("step_ms", 1),)))
    with pytest.raises(UsageError, match="no method 'eagle'"):
        RUNNER.check(spec(Speculation("eagle", 2)))
    with pytest.raises(UsageError, match="no method 'ngram-mod\\+mtp'"):
        RUNNER.check(spec(Speculation("ngram-mod+mtp", 2)))
    with pytest.raises(UsageError, match="draws no acceptance"):
        RUNNER.check(spec(Speculation("mtp", 2, synthetic=SyntheticAcceptance(length=2))))
    with pytest.raises(UsageError, match="either acceptance or bursts"):
        RUNNER.check(spec(mtp(), acceptance=0.5, bursts=2))


def test_which_options_apply() -> None:
    only = {name for name in OPTIONS if not RUNNER.applies(name, "none")}
    assert only == {
        "verify-ms-per-row",
        "acceptance",
        "hard-acceptance",
        "bursts",
        "first-burst",
        "diverge-at",
        "draft-limit",
    }
    assert all(RUNNER.applies(name, "mtp") for name in OPTIONS)
    # So that `check` gets to see it.
    assert RUNNER.applies("no-such-option", "none")


def test_found_lists_every_method() -> None:
    found = RUNNER.find()
    assert isinstance(found, Found)
    assert [support.method for support in found.methods] == list(METHODS)
    assert {support.method for support in found.methods if support.supported} == set(SCRIPTED)


def test_the_command_line_holds_the_whole_script() -> None:
    launch = spec(mtp(3), bursts="3,1", write="step", fault="garbage")
    words = shlex.split(RUNNER.reproduce(launch))
    assert words[:-1] == ["python", "-P", "-m", "runners.mock_server"]
    assert Script.from_json(words[-1]) == script_of(launch)
    assert set(json.loads(words[-1])) >= {"bursts", "method", "draft_tokens"}
    assert Script.from_json("{}") == Script()


# ---- the script by itself ----------------------------------------------------------------------

SCRIPTS = st.builds(
    Script,
    method=st.just("mtp"),
    draft_tokens=st.integers(1, 8),
    acceptance=st.lists(st.floats(0, 1), min_size=1, max_size=4).map(tuple),
    bursts=st.lists(st.integers(1, 9), max_size=4).map(tuple),
    first_burst=st.none() | st.integers(1, 9),
    output_tokens=st.none() | st.integers(1, 50),
    verify_ms_per_row=st.lists(st.floats(0, 5), min_size=1, max_size=3).map(tuple),
    jitter_ms=st.floats(0, 20),
)


@settings(max_examples=100)
@given(SCRIPTS, st.integers(1, 60), st.booleans(), st.sampled_from(list(FAULTS)))
def test_steps_add_up_to_the_text(script: Script, length: int, drafts: bool, fault: str) -> None:
    steps = plan_steps(script, asked(length), 0, drafts=drafts)
    assert [token for step in steps for token in step.tokens] == text_tokens(script, asked(length))
    assert all(0 <= step.accepted <= step.drafted <= script.draft_tokens for step in steps)
    assert [step.due for step in steps] == sorted(step.due for step in steps)
    assert drafts or all(step.drafted == 0 for step in steps)


def test_the_schedule() -> None:
    script = Script(
        "mtp",
        2,
        step_ms=10,
        verify_ms_per_row=(1,),
        prefill_ms=30,
        prefill_ms_per_token=0.5,
        bursts=(3,),
        first_burst=1,
    )
    steps = plan_steps(script, asked(8), 0, drafts=True)
    # The first is the prefill alone; the last has room for one token, and is a plain step.
    assert [(len(step.tokens), step.drafted) for step in steps] == [(1, 0), (3, 2), (3, 2), (1, 0)]
    assert [step.due for step in steps] == pytest.approx([0.032, 0.044, 0.056, 0.066])


def test_a_cliff_is_a_dear_row() -> None:
    script = Script("mtp", 4, step_ms=10, verify_ms_per_row=(1, 2, 30), prefill_ms=0, bursts=(5,))
    due = [
        plan_steps(dataclasses.replace(script, draft_tokens=k), asked(), 0, drafts=True)[1].due
        for k in (1, 2, 3, 4)
    ]
    assert due == pytest.approx([0.011, 0.013, 0.043, 0.073])


def test_hard_prompts_have_an_acceptance_of_their_own() -> None:
    script = Script("mtp", 2, acceptance=(1.0,), hard_acceptance=(0.0,))
    easy, hard = (
        plan_steps(script, asked(9, text), 0, drafts=True) for text in ("words", "hard words")
    )
    assert sum(step.accepted for step in easy) > 0
    assert sum(step.accepted for step in hard) == 0


def test_luck_has_the_deviation_that_was_asked_for() -> None:
    random.seed(7)
    logs = [math.log(luck(0.05)) for _ in range(4000)]
    # Of Student's t of 4 degrees a quarter lies above 0.741; its deviation is sqrt(2).
    above = statistics.quantiles(logs, n=4)[2]
    assert above == pytest.approx(0.05 * 0.741 / math.sqrt(2), rel=0.1)
    assert statistics.median(logs) == pytest.approx(0, abs=0.003)
    assert luck(0) == 1


def test_acceptance_is_conditional_by_position() -> None:
    script = Script("mtp", 3, seed=1, acceptance=(0.8, 0.5))
    steps = [
        step
        for number in range(40)
        for step in plan_steps(script, asked(500, f"{number}"), number, drafts=True)[1:-3]
    ]
    reached = [sum(step.accepted >= depth for step in steps) for depth in range(4)]
    assert len(steps) > 5000
    assert reached[1] / reached[0] == pytest.approx(0.8, abs=0.03)
    assert reached[2] / reached[1] == pytest.approx(0.5, abs=0.03)
    assert reached[3] / reached[2] == pytest.approx(0.5, abs=0.03)


def test_jitter_is_seeded_and_differs_by_request() -> None:
    script = Script(jitter_ms=2)

    def lengths(steps: list[Step]) -> list[float]:
        return [b.due - a.due for a, b in itertools.pairwise(steps)]

    first = lengths(plan_steps(script, asked(), 0, drafts=False))
    assert first == lengths(plan_steps(script, asked(), 0, drafts=False))
    assert first != lengths(plan_steps(script, asked(), 1, drafts=False))
    assert all(0.008 <= length <= 0.012 for length in first)
    assert len(set(first)) > 1


def test_divergence_begins_where_it_was_told_to() -> None:
    plain = text_tokens(Script(diverge_at=5), asked(12))
    wrong = text_tokens(Script("mtp", 2, diverge_at=5), asked(12))
    assert plain[:5] == wrong[:5]
    assert all(a != b for a, b in zip(plain[5:], wrong[5:], strict=True))


def test_a_longer_answer_begins_like_a_shorter_one() -> None:
    assert text_tokens(Script(), asked(50))[:20] == text_tokens(Script(), asked(20))


async def test_next_tokens_are_what_plain_decoding_writes(tmp_path: Path) -> None:
    request = ask(max_tokens=8)
    async with launched(spec(margin=0.25, output_tokens=8), tmp_path) as server:
        bursts, _ = await generate(server, request)
        written = [token for burst in bursts for token in burst.token_ids or ()]
        for place in (0, 3, 7):
            top = await server.next_tokens(request, written[:place], 10)
            assert top is not None
            assert len(top) == 10
            assert top[0].token == written[place]
            assert top[0].logprob - top[1].logprob == pytest.approx(0.25)
            assert [t.logprob for t in top] == sorted((t.logprob for t in top), reverse=True)
            assert 0.9 < sum(math.exp(t.logprob) for t in top) <= 1
        (end,) = await server.next_tokens(request, written, 1) or ()
        assert end.token == END


async def test_the_wrong_token_is_the_second_likeliest(tmp_path: Path) -> None:
    async with launched(spec(mtp(), diverge_at=3), tmp_path) as server:
        bursts, _ = await generate(server, ask())
    async with launched(spec(), tmp_path) as server:
        top = await server.next_tokens(ask(), (), 2)
    wrong = text_tokens(Script(method="mtp", diverge_at=0), asked())
    assert top is not None
    assert top[1].token == wrong[0]
    assert next(iter(bursts)).token_ids == (top[0].token,)


async def test_probabilities_that_are_not_exposed(tmp_path: Path) -> None:
    async with launched(spec(fault="hides-probabilities"), tmp_path) as server:
        assert await server.next_tokens(ask(), (), 5) is None


@pytest.mark.parametrize(
    ("options", "remark", "disagreement", "limit"),
    [
        ({}, None, False, None),
        ({"fault": "drafts-nothing"}, DRAFTS_NOTHING, False, None),
        ({"fault": "miscounts"}, None, True, None),
        ({"draft_limit": 2}, None, False, 2),
    ],
)
async def test_the_review(
    tmp_path: Path,
    options: dict[str, OptionValue],
    remark: str | None,
    disagreement: bool,
    limit: int | None,
) -> None:
    async with launched(spec(mtp(), **options), tmp_path) as server:
        await generate(server, ask())
        review = await server.review()
    assert review.remark == remark
    assert (review.disagreement is not None) == disagreement
    assert review.draft_limit == limit


def test_no_draft_is_longer_than_the_limit() -> None:
    steps = plan_steps(
        Script(method="mtp", draft_tokens=6, draft_limit=2), asked(60), 0, drafts=True
    )
    assert max(step.drafted for step in steps) == 2
