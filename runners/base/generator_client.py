"""A launch of a library behind `generator_server.py`, as the rest of the project sees a server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    NextToken,
    Request,
    RequestError,
    Review,
    RunnerError,
    StartError,
)
from runners.base.json_text import read_object, readable
from runners.base.process import Process, log_tail
from runners.base.stream import JSON, fetch, open_stream

SMALL_REQUEST_S = 30.0
"""Limit for the untimed requests: counters and what the generator says of itself."""


async def start_generator(
    argv: Sequence[str],
    method: str,
    *,
    log: Path,
    timeout_s: float,
    why: Callable[[Path], str | None],
    env: Mapping[str, str] | None = None,
) -> GeneratorClient:
    """Start a command that calls `generator_server.serve`, and wait for one token of it.

    `method` is what it must say that it does; `why` reads the reason of a failed start off the log.

    Raises:
        StartError: it ended, hung, or does not speculate as it was asked to. Nothing is left
            running.
    """
    deadline = time.monotonic() + timeout_s
    process = await Process.start(argv, log=log, env=env)
    try:
        address = await _address(process, timeout_s, why, log)
        process.stop_listening()
        client = GeneratorClient(process, address)
        try:
            await client.probe(method, max(1.0, deadline - time.monotonic()))
        except RunnerError as error:
            raise StartError(str(error), log_tail(log)) from None
    except BaseException:
        await process.stop()
        raise
    return client


async def _address(
    process: Process, timeout_s: float, why: Callable[[Path], str | None], log: Path
) -> str:
    try:
        return await process.read_address(timeout_s)
    except StartError as error:
        raise StartError(
            f"{error}: {why(log) or 'its log tells no reason'}", error.log_tail
        ) from None


class GeneratorClient:
    """One launch that is up."""

    def __init__(self, process: Process, address: str) -> None:
        self._process = process
        self._address = address

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, method: str, timeout_s: float) -> None:
        """A look at which method is on, and one token.

        Raises:
            RunnerError: no answer, or another method.
        """
        serves = (await self._ask("/about")).get("method")
        if serves != method:
            raise RunnerError(f"asked for {method}, but it serves with speculation: {serves}")
        payload: dict[str, JSON] = {
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 1,
        }
        url = f"{self._address}/generate"
        try:
            async with open_stream(url, payload, timeout_s=timeout_s) as stream:
                async for event in stream:
                    read_object(event.data)
        except RequestError as error:
            raise RunnerError(
                f"did not answer a probe request: {await self._process.explain(error)}"
            ) from None

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        try:
            async for part in self._stream(request):
                yield part
        except RequestError as error:
            raise await self._process.explain(error) from None

    async def _stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        payload: dict[str, JSON] = {
            "messages": _messages(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        url = f"{self._address}/generate"
        async with open_stream(url, payload, timeout_s=request.timeout_s) as stream:
            burst: Burst | None = None
            async for event in stream:
                body = read_object(event.data)
                if "done" in body:
                    with readable(event.data):
                        if burst is not None:
                            # Half a character that nothing completed belongs to the last step.
                            text = burst.text + str(body["text"])
                            yield Burst(burst.at, burst.tokens, text, burst.token_ids)
                        yield _completion(stream.sent_at, body)
                    return
                if burst is not None:
                    yield burst
                with readable(event.data):
                    ids = tuple(int(token) for token in body["tokens"])
                    burst = Burst(event.at, len(ids), str(body["text"]), ids)
        raise RequestError("the stream ended without its closing event", server_lost=True)

    async def counters(self) -> Counters:
        body = await self._ask("/counters")
        with readable(body):
            return Counters(
                drafted=_count(body["drafted"]),
                accepted=int(body["accepted"]),
                steps=int(body["steps"]),
                accepted_per_position=tuple(int(count) for count in body["per_position"]),
            )

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        payload: dict[str, JSON] = {
            "messages": _messages(request),
            "written": list(written),
            "count": count,
        }
        body = await self._ask("/next-tokens", payload, timeout_s=request.timeout_s)
        with readable(body):
            if body["tokens"] is None:
                return None
            return tuple(NextToken(int(token), float(value)) for token, value in body["tokens"])

    async def review(self) -> Review:
        try:
            body = await self._ask("/about")
            with readable(body):
                return Review(
                    remark=_text(body.get("remark")),
                    disagreement=_text(body.get("disagreement")),
                    draft_limit=_count(body.get("draft_limit")),
                )
        except RequestError:
            return Review()

    async def stop(self) -> None:
        await self._process.stop()

    async def _ask(
        self,
        path: str,
        payload: Mapping[str, JSON] | None = None,
        timeout_s: float = SMALL_REQUEST_S,
    ) -> dict[str, Any]:
        try:
            reply = await fetch(f"{self._address}{path}", payload, timeout_s=timeout_s)
        except RequestError as error:
            raise await self._process.explain(error) from None
        return read_object(reply.body.decode(errors="replace"))


def _messages(request: Request) -> list[JSON]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _completion(sent_at: float, body: dict[str, Any]) -> Completion:
    """The generator's own account, by the clock of its process."""
    tokens, decode_s = int(body["output_tokens"]), float(body["decode_s"])
    later = tokens - int(body["first_burst"])
    return Completion(
        sent_at=sent_at,
        output_tokens=tokens,
        finish_reason=str(body["finish"]),
        prompt_tokens=int(body["prompt_tokens"]),
        cached_tokens=int(body["cached_tokens"]),
        prefill_s=float(body["prefill_s"]),
        decode_s=decode_s,
        decode_rate=later / decode_s if decode_s > 0 else None,
        drafted=_count(body["drafted"]),
        accepted=int(body["accepted"]),
        steps=int(body["steps"]),
        peak_memory=_count(body.get("peak_memory")),
    )
