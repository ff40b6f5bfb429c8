"""A running vLLM server: requests, counters, and whether it speculates as it was asked to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    LaunchSpec,
    Message,
    NextToken,
    Request,
    RequestError,
    Review,
    RunnerError,
    StartError,
)
from runners.base.counters import CounterNames, read_counters
from runners.base.failure import size_of
from runners.base.json_text import read_object, readable
from runners.base.process import Process, log_tail
from runners.base.stream import JSON, fetch, open_stream
from runners.base.told import Told
from runners.vllm.log import method_of, why
from runners.vllm.methods import METHODS
from runners.vllm.stream import Answer, Chunk

SMALL_REQUEST_S = 60.0
"""Limit for the untimed requests: tokens of a prompt, counters."""
COUNTED_S = 1.0
"""How long counters may lag behind an answer."""
PROBE = Request((Message("user", "Hi"),), max_tokens=4)
"""Long enough for a draft to be verified."""
MOST_LOGPROBS = 20
"""vLLM's default limit."""

COUNTERS = CounterNames(
    drafted="vllm:spec_decode_num_draft_tokens_total",
    accepted="vllm:spec_decode_num_accepted_tokens_total",
    # There is no counter of steps; but each yields its accepted tokens and one more.
    steps="vllm:generation_tokens_total",
    per_position="vllm:spec_decode_num_accepted_tokens_per_pos_total",
)


class VllmServer:
    """One launch."""

    def __init__(
        self, process: Process, address: str, name: str, spec: LaunchSpec, log: Path
    ) -> None:
        self._process = process
        self._address = address
        self._name = name
        """The model, as requests call it."""
        self._spec = spec
        self._log = log
        self._logged = size_of(log)
        self._prompts: dict[tuple[Message, ...], list[int]] = {}
        self._received = 0
        self._told = Told()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, timeout_s: float) -> None:
        """A few tokens, and a look at whether speculation really is on.

        Some launches are healthy and die at their first request.

        Raises:
            StartError: no answer, or not the way of speculating that was asked for.
        """
        self._check_method()
        completion: Completion | None = None
        try:
            async for part in self.stream(replace(PROBE, timeout_s=timeout_s)):
                completion = part if isinstance(part, Completion) else None
            counters = await self.counters()
        except RunnerError as error:
            reason = f"did not answer a probe request: {error}"
            raise StartError(reason, log_tail(self._log)) from None
        method = self._spec.speculation.method
        makes_drafts = method in METHODS and bool(METHODS[method].needs)
        drafted = counters.drafted if counters else completion.drafted if completion else None
        ended = completion is not None and (completion.output_tokens or 0) < PROBE.max_tokens
        if makes_drafts and drafted == 0 and not ended:
            raise StartError(
                f"asked for {method}, but it drafted nothing in the probe request",
                log_tail(self._log),
            )

    def _check_method(self) -> None:
        """vLLM reads the method off the draft model's path as well, whatever was asked for.

        Raises:
            StartError: it speculates in another way.
        """
        asked = self._spec.speculation
        chosen = method_of(self._log)
        if chosen is None or asked.is_plain:
            return
        # Before 0.11 each family's heads had a name of their own: 'deepseek_mtp'.
        name = "mtp" if chosen[0].endswith("_mtp") else chosen[0]
        if name != METHODS[asked.method].name:
            what = "model" if asked.draft_model is None else "draft model"
            raise StartError(
                f"asked for {asked.method}, but vLLM chose {chosen[0]}: it goes by the path of the "
                f"{what}, so rename the folder",
                log_tail(self._log),
            )

    async def _prompt(self, messages: tuple[Message, ...]) -> list[int]:
        """The ids of the prompt by the model's chat template, asked for once for each prompt."""
        if messages not in self._prompts:
            asked: list[JSON] = [asdict(message) for message in messages]
            body = await self._post("/tokenize", {"messages": asked}, timeout_s=SMALL_REQUEST_S)
            with readable(body):
                self._prompts[messages] = [int(token) for token in body["tokens"]]
        return self._prompts[messages]

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        try:
            prompt = await self._prompt(request.messages)
            async for part in self._stream(prompt, request):
                yield part
        except RequestError as error:
            raise await self._explain(error) from None

    async def _stream(
        self, prompt: list[int], request: Request
    ) -> AsyncIterator[Burst | Completion]:
        payload: dict[str, JSON] = {
            "model": self._name,
            "prompt": prompt,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
        answer = Answer(plain=self._spec.speculation.is_plain)
        self._told.begin()
        url = f"{self._address}/v1/completions"
        async with open_stream(url, payload, timeout_s=request.timeout_s) as stream:
            async for event in stream:
                if event.data == "[DONE]":
                    break
                burst = answer.add(event.at, Chunk.parse(event.data))
                if burst is not None:
                    self._received += burst.tokens
                    yield burst
            completion = answer.completion(stream.sent_at)
        self._told.add(completion)
        yield completion

    async def counters(self) -> Counters | None:
        if self._spec.speculation.is_plain:
            return None
        deadline = asyncio.get_running_loop().time() + COUNTED_S
        while True:
            try:
                reply = await fetch(f"{self._address}/metrics", timeout_s=SMALL_REQUEST_S)
            except RequestError as error:
                raise await self._explain(error) from None
            try:
                read = read_counters(reply.body.decode(errors="replace"), COUNTERS)
            except RunnerError:  # A build that does not count: not exposed.
                return None
            # The answer may be here before it is counted.
            late = asyncio.get_running_loop().time() > deadline
            if read.steps >= self._received or late:
                return replace(read, steps=max(0, read.steps - read.accepted))
            await asyncio.sleep(COUNTED_S / 20)

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        try:
            payload: dict[str, JSON] = {
                "model": self._name,
                "prompt": [*await self._prompt(request.messages), *written],
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": min(count, MOST_LOGPROBS),
                "return_tokens_as_token_ids": True,
            }
            body = await self._post("/v1/completions", payload, timeout_s=request.timeout_s)
        except RequestError as error:
            raise await self._explain(error) from None
        self._received += 1
        return _likeliest(body, count)

    async def review(self) -> Review:
        try:
            counters = await self.counters()
        except RunnerError:
            counters = None
        if counters is None:
            return Review()
        chosen = method_of(self._log)
        counted = {"/metrics": (counters.accepted, counters.drafted)}
        limit = chosen[1] if chosen else len(counters.accepted_per_position or ()) or None
        return Review(None, self._told.disagreement(counted), limit)

    async def stop(self) -> None:
        await self._process.stop()

    async def _post(
        self, path: str, payload: Mapping[str, JSON], *, timeout_s: float
    ) -> dict[str, Any]:
        """The answer's JSON.

        Raises:
            RequestError: refused, or no JSON object.
        """
        asked = {"model": self._name, **payload}
        reply = await fetch(f"{self._address}{path}", asked, timeout_s=timeout_s)
        text = reply.body.decode(errors="replace")
        if reply.status != 200:
            raise RequestError(f"{path} failed with HTTP {reply.status}: {text[:300]}")
        return read_object(text)

    async def _explain(self, error: RequestError) -> RequestError:
        """A lost server with the reason that its log tells; another error as it is.

        Its front end answers for a while after its engine has died.
        """
        if not (error.server_lost or "EngineCore" in str(error) or "EngineDead" in str(error)):
            return error
        lost = str(await self._process.explain(RequestError(str(error), server_lost=True)))
        reason = why(self._log, self._logged)
        if reason is not None:
            died = "its engine died" if "EngineCore" in lost else lost
            return RequestError(f"{died}: {reason}", server_lost=True)
        return RequestError(lost, server_lost=True)


def _likeliest(body: Mapping[str, Any], count: int) -> tuple[NextToken, ...] | None:
    """What /v1/completions says of its one token's place; None where the build does not say."""
    try:
        top = body["choices"][0]["logprobs"]["top_logprobs"][0]
        tokens = [
            NextToken(int(str(name).removeprefix("token_id:")), float(value))
            for name, value in top.items()
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return tuple(sorted(tokens, key=lambda each: (-each.logprob, each.token))[:count]) or None
