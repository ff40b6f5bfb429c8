"""The mock: a runner whose truth is known, to check everything that stands on runners.

It starts `mock_server.py` as a process of its own. Nothing it reports says anything about a model.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    Message,
    NextToken,
    OptionValue,
    Request,
    RequestError,
    Review,
    RunnerError,
    StartError,
    UsageError,
)
from runners.base.counters import CounterNames, read_counters
from runners.base.packaging import Packaging
from runners.base.process import Process, log_tail
from runners.base.speculation import METHODS, PLAIN
from runners.base.stream import JSON, fetch, open_stream
from runners.base.support import MethodSupport
from runners.mock_server import DRAFTS_NOTHING, FAULTS, WRITES, Script

MODULE = "runners.mock_server"
SCRIPTED = (PLAIN, "draft-model", "mtp", "ngram-simple", "ngram-mod")
SMALL_REQUEST_S = 30.0
"""Limit for the untimed requests: counters and what is switched on."""

COUNTERS = CounterNames(
    drafted="mock:draft_tokens_total",
    accepted="mock:accepted_tokens_total",
    steps="mock:steps_total",
    per_position="mock:accepted_tokens_per_position_total",
)


# ---- options: text to script -------------------------------------------------------------------


def _number(text: str, *, at_most: float) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= at_most):
        raise ValueError(f"must lie between 0 and {at_most:g}")
    return value


def _milliseconds(text: str) -> float:
    return _number(text, at_most=3_600_000)


def _share(text: str) -> float:
    return _number(text, at_most=1)


def _margin(text: str) -> float:
    return _number(text, at_most=100)


def _whole(text: str, *, at_least: int, at_most: int = 1_000_000) -> int:
    value = int(text)
    if not at_least <= value <= at_most:
        raise ValueError(f"must lie between {at_least} and {at_most}")
    return value


def _count(text: str) -> int:
    return _whole(text, at_least=0)


def _tokens(text: str) -> int:
    return _whole(text, at_least=1)


def _size(text: str) -> int:
    return _whole(text, at_least=1, at_most=1024)


def _several(parse: Callable[[str], object]) -> Callable[[str], tuple[object, ...]]:
    return lambda text: tuple(map(parse, text.replace("/", ",").split(",")))


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return text

    return choose


@dataclass(frozen=True)
class _Option:
    parse: Callable[[str], object]
    form: str
    """What a value looks like, for error messages."""
    speculation_only: bool = False


OPTIONS: dict[str, _Option] = {
    "step-ms": _Option(_milliseconds, "milliseconds"),
    "verify-ms-per-row": _Option(
        _several(_milliseconds), "milliseconds of each further row, e.g. 1 or 1/1/9", True
    ),
    "prefill-ms": _Option(_milliseconds, "milliseconds"),
    "prefill-ms-per-token": _Option(_milliseconds, "milliseconds"),
    "acceptance": _Option(_several(_share), "probabilities, e.g. 0.7 or 0.9/0.6", True),
    "hard-acceptance": _Option(_several(_share), "probabilities, e.g. 0.4 or 0.5/0.2", True),
    "bursts": _Option(_several(_size), "tokens of each step, e.g. 3/1/4", True),
    "first-burst": _Option(_tokens, "a number of tokens", True),
    "start-ms": _Option(_milliseconds, "milliseconds"),
    "output-tokens": _Option(_tokens, "a number of tokens"),
    "write": _Option(_one_of(WRITES), " or ".join(WRITES)),
    "jitter-ms": _Option(_milliseconds, "milliseconds"),
    "noise": _Option(_share, "a share, e.g. 0.05"),
    "diverge-at": _Option(_count, "the number of a token, from 0", True),
    "margin": _Option(_margin, "a difference of log-probabilities"),
    "draft-limit": _Option(_tokens, "a number of tokens", True),
    "fault": _Option(_one_of(tuple(FAULTS)), "the name of a fault"),
    "fault-after": _Option(_count, "a number of requests"),
}
"""Option -> how its value is read. The meanings stand at `mock_server.Script`'s fields."""


def script_of(spec: LaunchSpec) -> Script:
    """What the server is told.

    Raises:
        UsageError: an option, a value or the method is not the mock's.
    """
    speculation = spec.speculation
    if speculation.method not in SCRIPTED:
        raise UsageError(
            f"the mock has no method {speculation.method!r}; it has {', '.join(SCRIPTED)}"
        )
    if speculation.synthetic is not None:
        raise UsageError("the mock draws no acceptance: its options acceptance and bursts set it")
    fields: dict[str, Any] = {
        "method": speculation.method,
        "draft_tokens": speculation.draft_tokens or 0,
        "seed": spec.seed,
    }
    for name, value in spec.options:
        fields[name.replace("-", "_")] = _parse(name, value)
    if "acceptance" in fields and "bursts" in fields:
        raise UsageError("give the mock either acceptance or bursts: both decide about every step")
    return Script(**fields)


def _parse(name: str, value: OptionValue) -> object:
    if name not in OPTIONS:
        raise UsageError(f"the mock has no option {name!r}; it has {', '.join(OPTIONS)}")
    option = OPTIONS[name]
    try:
        return option.parse(str(value))
    except ValueError as error:
        reason = f" ({error})" if str(error).startswith("must") else ""
        raise UsageError(
            f"the mock's option {name} takes {option.form}, not {str(value)[:100]!r}{reason}"
        ) from None


# ---- runner ------------------------------------------------------------------------------------


class MockRunner:
    """The runner 'mock'."""

    name = "mock"
    packagings: tuple[Packaging, ...] = ()
    attached = False

    def find(self) -> Found:
        return Found(
            version=importlib.metadata.version("decodebench"),
            where="built in",
            methods=tuple(
                MethodSupport(method, True, "scripted")
                if method in SCRIPTED
                else MethodSupport(method, False, "not scripted")
                for method in METHODS
            ),
            acceptance_source="each answer's last event; positions from /metrics",
        )

    def check(self, spec: LaunchSpec) -> None:
        script_of(spec)

    def canonical(self, option: str) -> str:
        return option.strip().lstrip("-").replace("_", "-")

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        # True for an unknown option: `check` shall see it and complain.
        return option not in OPTIONS or method != PLAIN or not OPTIONS[option].speculation_only

    def reproduce(self, spec: LaunchSpec) -> str:
        return shlex.join(["python", "-P", "-m", MODULE, script_of(spec).to_json()])

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> MockServer:
        script = script_of(spec)
        deadline = time.monotonic() + timeout_s
        process = await Process.start(
            [sys.executable, "-P", "-m", MODULE, script.to_json()], log=log
        )
        try:
            address = await process.read_address(timeout_s)
            process.stop_listening()
            server = MockServer(process, address, script, log)
            left = max(1.0, deadline - time.monotonic())
            try:
                await server.probe(spec.speculation.method, left)
            except RunnerError as error:
                raise StartError(str(error), log_tail(log)) from None
        except BaseException:
            await process.stop()
            raise
        return server


class MockServer:
    """A mock that is up."""

    def __init__(self, process: Process, address: str, script: Script, log: Path) -> None:
        self._process = process
        self._address = address
        self._script = script
        self._log = log
        self._drafted: int | None = 0
        """What the answers told of; None when one of them was broken off."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, method: str, timeout_s: float) -> None:
        """One token, and a look at which method is really on.

        Raises:
            RunnerError: no answer, or another method.
        """
        request = Request((Message("user", "Are you there?"),), max_tokens=1, timeout_s=timeout_s)
        async for _ in self._stream(request, probe=True):
            pass
        reply = await fetch(f"{self._address}/props", timeout_s=SMALL_REQUEST_S)
        serves = json.loads(reply.body)["speculation"]
        if serves != method:
            raise RunnerError(f"asked for {method}, but it serves with speculation: {serves}")

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        try:
            async for part in self._stream(request):
                yield part
        except RequestError as error:
            self._drafted = None
            raise await self._process.explain(error) from None

    async def _stream(
        self, request: Request, *, probe: bool = False
    ) -> AsyncIterator[Burst | Completion]:
        payload: dict[str, JSON] = {
            "messages": _messages(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "probe": probe,
        }
        url = f"{self._address}/generate"
        async with open_stream(url, payload, timeout_s=request.timeout_s) as stream:
            burst: Burst | None = None
            step = -1
            async for event in stream:
                body = json.loads(event.data)
                if "done" in body:
                    if burst is not None:
                        yield burst
                    if self._drafted is not None:
                        self._drafted += body["drafted"]
                    yield _completion(stream.sent_at, body)
                    return
                ids = tuple(body["tokens"])
                # A step may come as one event or as one for each of its tokens, in any number of
                # reads: only the server's own number of the step tells which belong together.
                if burst is not None and body["step"] == step:
                    burst = Burst(
                        at=burst.at,
                        tokens=burst.tokens + len(ids),
                        text=burst.text + body["text"],
                        token_ids=(*(burst.token_ids or ()), *ids),
                    )
                    continue
                if burst is not None:
                    yield burst
                burst = Burst(event.at, len(ids), body["text"], ids)
                step = body["step"]
        raise RequestError("the stream ended without its closing event", server_lost=True)

    async def counters(self) -> Counters:
        reply = await fetch(f"{self._address}/metrics", timeout_s=SMALL_REQUEST_S)
        return read_counters(reply.body.decode(), COUNTERS)

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        payload: dict[str, JSON] = {
            "messages": _messages(request),
            "max_tokens": len(written) + 1,
            "written": list(written),
            "count": count,
        }
        reply = await fetch(f"{self._address}/next", payload, timeout_s=request.timeout_s)
        if reply.status == 501:
            return None
        if reply.status != 200:
            raise RequestError(f"HTTP {reply.status}")
        top = json.loads(reply.body)["top"]
        return tuple(NextToken(token, logprob) for token, logprob in top)

    async def review(self) -> Review:
        """Its log against the fault, its counters against its answers, its limit as scripted."""
        log = self._log.read_text(errors="replace").splitlines()
        counted: int | None
        try:
            counted = (await self.counters()).drafted
        except RunnerError:  # A server that died counts no more.
            counted = self._drafted
        return Review(
            remark=DRAFTS_NOTHING if DRAFTS_NOTHING in log else None,
            disagreement=(
                None
                if self._drafted in (None, counted)
                else f"its answers tell of {self._drafted} drafted tokens, /metrics of {counted}"
            ),
            draft_limit=self._script.draft_limit,
        )

    async def stop(self) -> None:
        await self._process.stop()


def _messages(request: Request) -> list[JSON]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def _completion(sent_at: float, truth: dict[str, Any]) -> Completion:
    """The mock's own account, by the times at which it really wrote."""
    decode_s = truth["last_step_at"] - truth["first_step_at"]
    later = truth["output_tokens"] - truth["first_burst"]
    return Completion(
        sent_at=sent_at,
        output_tokens=truth["output_tokens"],
        finish_reason=truth["finish"],
        prompt_tokens=truth["prompt_tokens"],
        cached_tokens=0,
        prefill_s=truth["first_step_at"] - truth["received_at"],
        decode_s=decode_s,
        decode_rate=later / decode_s if decode_s > 0 else None,
        drafted=truth["drafted"],
        accepted=truth["accepted"],
        steps=truth["steps"],
    )
