"""A running llama.cpp server: requests, counters, and whether it speculates as it was asked to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

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
from runners.base.process import Process, log_tail
from runners.base.stream import JSON, fetch, open_stream
from runners.base.told import Told
from runners.llama_cpp.log import DraftLog, read_drafts
from runners.llama_cpp.stream import Bursts, Piece

SMALL_REQUEST_S = 30.0
"""Limit for the untimed requests: templates, counters, slots."""

LOGGED_S = 1.0
"""The log is written by a thread of its own, and counters follow the end of a response: how long
figures that do not yet agree may take to."""

COUNTERS = CounterNames(
    drafted="llamacpp:spec_decode_num_draft_tokens_total",
    accepted="llamacpp:spec_decode_num_accepted_tokens_total",
    # Counts the decode calls of prompts as well, so steps are read off the stream instead.
    steps="llamacpp:n_decode_total",
    per_position="llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
)


class LlamaCppServer:
    """One launch, embedded or a binary: all it needs is the address."""

    def __init__(self, process: Process, address: str, spec: LaunchSpec, log: Path) -> None:
        self._process = process
        self._address = address
        self._spec = spec
        self._log = log
        self._templated: dict[tuple[Message, ...], str] = {}
        self._told = Told()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, timeout_s: float) -> None:
        """One token, and a look at whether speculation really is on.

        Raises:
            StartError: no answer, or not the way of speculating that was asked for.
        """
        payload: dict[str, JSON] = {
            "prompt": "Hi",
            "n_predict": 1,
            "temperature": 0,
            "cache_prompt": False,
        }
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
        self._check_speculation(speculating)

    def _check_speculation(self, speculating: bool) -> None:
        """Some launches that cannot speculate serve all the same, and exit with status 0.

        Raises:
            StartError: it does not draft as it was asked to; with what the log says about it.
        """
        asked = self._spec.speculation
        said = read_drafts(self._log)
        if speculating == asked.is_plain:
            serves = "with" if speculating else "without"
            reason = said.remark or (
                "its log tells no reason (builds of 2025 draft only while they cache prompts, "
                "which bench switches off)"
            )
            raise StartError(
                f"asked for {asked.method}, but it serves {serves} speculation: {reason}",
                self._tail(),
            )
        if said.other_method is not None and "draft-model" not in asked.parts:
            raise StartError(
                f"asked for {asked.method}, but it drafts in another way: {said.other_method}",
                self._tail(),
            )

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
        self._told.begin()
        async with open_stream(url, payload, timeout_s=request.timeout_s) as stream:
            async for event in stream:
                piece = Piece.parse(event.data)
                burst = bursts.add(event.at, piece)
                if burst is not None:
                    yield burst
                if piece.stop:
                    if (last := bursts.close()) is not None:
                        yield last
                    completion = piece.completion(stream.sent_at, bursts.steps, bursts.undelivered)
                    self._told.add(completion)
                    yield completion
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

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        try:
            prompt = await self._template(request.messages)
            payload: dict[str, JSON] = {
                "prompt": [prompt, *written],
                "n_predict": 1,
                "temperature": 0,
                "cache_prompt": False,
                "n_probs": count,
                "post_sampling_probs": False,
            }
            url = f"{self._address}/completion"
            reply = await fetch(url, payload, timeout_s=request.timeout_s)
        except RequestError as error:
            raise await self._process.explain(error) from None
        if reply.status != 200:
            text = reply.body[:300].decode(errors="replace")
            raise RequestError(f"/completion failed with HTTP {reply.status}: {text}")
        return likeliest(reply.body, count)

    async def review(self) -> Review:
        deadline = asyncio.get_running_loop().time() + LOGGED_S
        while True:
            said = read_drafts(self._log)
            try:
                counters = await self.counters()
            except RunnerError:
                counters = None
            disagreement = self._disagreement(said, counters)
            if disagreement is None or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(LOGGED_S / 10)
        positions = len(counters.accepted_per_position or ()) if counters is not None else 0
        return Review(said.remark, disagreement, said.limit or positions or None)

    def _disagreement(self, said: DraftLog, counters: Counters | None) -> str | None:
        sources = {}
        if counters is not None:
            sources["/metrics"] = (counters.accepted, counters.drafted)
        # A log that tells of no request is silent, not in disagreement.
        if said.acceptance is not None:
            sources["the log"] = said.acceptance
        return self._told.disagreement(sources)

    async def stop(self) -> None:
        await self._process.stop()

    def _tail(self) -> str:
        return log_tail(self._log)


def likeliest(body: bytes, count: int) -> tuple[NextToken, ...] | None:
    """What /completion says of its one token's place; None where the build does not say."""
    try:
        first = json.loads(body)["completion_probabilities"][0]["top_logprobs"]
        tokens = [NextToken(int(each["id"]), float(each["logprob"])) for each in first]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(sorted(tokens, key=lambda each: (-each.logprob, each.token))[:count])
