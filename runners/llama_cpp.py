"""llama.cpp: its own server, from the xllamacpp wheel, in a process of its own."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    Message,
    MethodSupport,
    Missing,
    OptionValue,
    Request,
    RequestError,
    RunnerError,
    StartError,
)
from runners.base.counters import CounterNames, read_counters
from runners.base.process import Process, log_tail
from runners.base.speculation import METHODS, PLAIN
from runners.base.stream import JSON, fetch, open_stream
from runners.llama_cpp_build import CHILD, describe
from runners.llama_cpp_command import reproduce
from runners.llama_cpp_options import METHODS as LLAMA_METHODS
from runners.llama_cpp_options import (
    EnumName,
    Field,
    applies,
    canonical,
    fields,
    needed_options,
)
from runners.llama_cpp_stream import Bursts, Piece

SMALL_REQUEST_S = 30.0
"""Limit for the untimed requests: templates, counters, slots."""

COUNTERS = CounterNames(
    drafted="llamacpp:spec_decode_num_draft_tokens_total",
    accepted="llamacpp:spec_decode_num_accepted_tokens_total",
    # Counts the decode calls of prompts as well, so steps are read off the stream instead.
    steps="llamacpp:n_decode_total",
    per_position="llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
)

_NEEDS = {
    "draft-model": "needs --draft-model: a smaller model of the same vocabulary",
    "mtp": "needs a model file that holds its MTP heads",
}


class LlamaCpp:
    """The runner 'llama.cpp'."""

    name = "llama.cpp"
    needs_model = True

    def find(self) -> Found | Missing:
        build = describe()
        if build.version is None:
            return Missing(
                "the Python package xllamacpp (llama.cpp's server as a wheel) is not installed",
                'install it: pip install "decodebench[llama-cpp]"',
            )
        if build.problem is not None:
            return Missing(
                f"xllamacpp {build.version} is installed but does not load: {build.problem}",
                "install it again: pip install --force-reinstall xllamacpp",
            )
        return Found(
            version=f"b{build.version.rpartition('.')[2]} (xllamacpp {build.version})",
            where="embedded",
            methods=tuple(_support(method) for method in METHODS),
            acceptance_source="timings of each response; positions from /metrics",
            devices=build.devices,
        )

    def check(self, spec: LaunchSpec) -> None:
        fields(spec)

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return needed_options(method, draft_tokens)

    def applies(self, option: str, method: str) -> bool:
        return applies(option, method)

    def reproduce(self, spec: LaunchSpec) -> str:
        return reproduce(spec)

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> LlamaCppServer:
        deadline = time.monotonic() + timeout_s
        # -P: a file of the user's folder must not take the place of a module.
        settings = json.dumps([_plain(field) for field in fields(spec)])
        argv = [sys.executable, "-P", "-m", CHILD, settings]
        process = await Process.start(argv, log=log)
        try:
            try:
                address = await _address(process, timeout_s)
            except StartError as error:
                reason = f"{error}: {_why(log, 'its log tells no reason')}"
                raise StartError(reason, error.log_tail) from None
            process.stop_listening()
            server = LlamaCppServer(process, address, spec, log)
            await server.probe(max(1.0, deadline - time.monotonic()))
        except BaseException:
            await process.stop()
            raise
        return server


class LlamaCppServer:
    """A running llama.cpp server, embedded or not: all it needs is the address."""

    def __init__(self, process: Process, address: str, spec: LaunchSpec, log: Path) -> None:
        self._process = process
        self._address = address
        self._spec = spec
        self._log = log
        self._templated: dict[tuple[Message, ...], str] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, timeout_s: float) -> None:
        """One token, and a look at whether speculation really is on.

        Raises:
            StartError: no answer, or not the way of speculating that was asked for.
        """
        payload: dict[str, JSON] = {"prompt": "Hi", "n_predict": 1, "temperature": 0}
        try:
            reply = await fetch(f"{self._address}/completion", payload, timeout_s=timeout_s)
            slots = await fetch(f"{self._address}/slots", timeout_s=SMALL_REQUEST_S)
            speculating = bool(json.loads(slots.body)[0]["speculative"])
        except RunnerError as error:
            raise StartError(f"did not answer a probe request: {error}", self._tail()) from None
        except (ValueError, LookupError, TypeError) as error:
            raise StartError(f"/slots cannot be read: {error}", self._tail()) from None
        if reply.status != 200:
            raise StartError(
                f"the probe request failed with HTTP {reply.status}: "
                f"{reply.body[:300].decode(errors='replace')}",
                self._tail(),
            )
        if speculating == self._spec.speculation.is_plain:
            asked = self._spec.speculation.method
            serves = "with" if speculating else "without"
            raise StartError(f"asked for {asked}, but it serves {serves} speculation", self._tail())

    async def _template(self, messages: tuple[Message, ...]) -> str:
        """The chat template's text, asked for once for each prompt."""
        if messages not in self._templated:
            payload = {"messages": [asdict(message) for message in messages]}
            reply = await fetch(
                f"{self._address}/apply-template", payload, timeout_s=SMALL_REQUEST_S
            )
            try:
                self._templated[messages] = str(json.loads(reply.body)["prompt"])
            except (ValueError, LookupError, TypeError):
                raise RequestError(f"/apply-template failed: HTTP {reply.status}") from None
        return self._templated[messages]

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        try:
            prompt = await self._template(request.messages)
            async for part in self._stream(prompt, request):
                yield part
        except RequestError as error:
            raise await self._process.explain(error) from None

    async def _stream(self, prompt: str, request: Request) -> AsyncIterator[Burst | Completion]:
        payload: dict[str, JSON] = {
            "prompt": prompt,
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stream": True,
            "cache_prompt": False,
            "return_tokens": True,
            "timings_per_token": True,
        }
        if request.temperature > 0:
            # Sampling by temperature alone, so that runners with other defaults can be compared.
            payload |= {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
        bursts = Bursts()
        url = f"{self._address}/completion"
        async with open_stream(url, payload, timeout_s=request.timeout_s) as stream:
            async for event in stream:
                piece = Piece.parse(event.data)
                burst = bursts.add(event.at, piece)
                if burst is not None:
                    yield burst
                if piece.stop:
                    if (last := bursts.close()) is not None:
                        yield last
                    yield piece.completion(stream.sent_at, bursts.steps)
                    return
        raise RequestError("the stream ended without its closing event", server_lost=True)

    async def counters(self) -> Counters | None:
        try:
            reply = await fetch(f"{self._address}/metrics", timeout_s=SMALL_REQUEST_S)
        except RequestError as error:
            raise await self._process.explain(error) from None
        if reply.status != 200:
            return None
        try:
            return read_counters(reply.body.decode(errors="replace"), COUNTERS)
        except RunnerError:  # A build that does not count: not exposed.
            return None

    async def stop(self) -> None:
        await self._process.stop()

    def _tail(self) -> str:
        return log_tail(self._log)


async def _address(process: Process, timeout_s: float) -> str:
    """The child's first line of standard output.

    Raises:
        StartError: it ended, said nothing, or something else.
    """
    line = await process.read_line(timeout_s)
    try:
        return str(json.loads(line)["listening"])
    except (ValueError, LookupError, TypeError):
        raise StartError(f"said {line[:200]!r} instead of its address") from None


def _support(method: str) -> MethodSupport:
    if method == PLAIN or method in LLAMA_METHODS:
        return MethodSupport(method, True, _NEEDS.get(method, ""))
    return MethodSupport(method, False, "not driven by this version of bench")


def _why(log: Path, otherwise: str) -> str:
    """The first and the last error that the server logged, cause and effect; or `otherwise`."""
    lines = log_tail(log, lines=40).splitlines()
    errors = [match[1] for line in lines if (match := re.match(r"[\d.]+ E (.+)", line))]
    own = [line for line in errors if not line.startswith("srv")] or errors
    return "; ".join(dict.fromkeys(own[:1] + own[-1:])) or otherwise


def _plain(field: Field) -> tuple[str, object]:
    """A field as JSON for the child."""
    value = field.value
    if isinstance(value, tuple):
        return field.path, [asdict(v) if isinstance(v, EnumName) else v for v in value]
    return field.path, asdict(value) if isinstance(value, EnumName) else value
