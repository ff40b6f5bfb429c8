"""A running `mtplx serve`: requests, and totals of what its answers tell of their drafts."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
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
from runners.base.process import Process, log_tail
from runners.base.stream import JSON, fetch, open_stream
from runners.mlx.mtplx_answer import Answer, Chunk, Drafts
from runners.mlx.mtplx_log import why, without_heads
from runners.mlx.mtplx_prompts import Prompts

PROBE = Request((Message("user", "Hi"),), max_tokens=4)
"""Long enough for a draft to be verified."""
HEADERS = {"X-MTPLX-Allow-Client-Controls": "1"}
"""Its own settings for sampling give way to the request's."""


class MtplxServer:
    """One launch."""

    def __init__(
        self, process: Process, address: str, spec: LaunchSpec, prompts: Prompts, log: Path
    ) -> None:
        self._process = process
        self._address = address
        self._spec = spec
        self._prompts = prompts
        self._log = log
        self._total = Counters(0, 0, 0)
        self._disagreement: str | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def probe(self, health: dict[str, Any], timeout_s: float) -> None:
        """A few tokens, and a look at whether it decodes as it was asked to.

        mtplx goes on without its heads where a model has none that it can use.

        Raises:
            StartError: no answer, or not the way of decoding that was asked for.
        """
        self._check(health)
        completion: Completion | None = None
        try:
            async for part in self.stream(replace(PROBE, timeout_s=timeout_s)):
                completion = part if isinstance(part, Completion) else completion
        except RunnerError as error:
            reason = f"did not answer a probe request: {error}"
            raise StartError(reason, log_tail(self._log)) from None
        ended = completion is not None and (completion.output_tokens or 0) < PROBE.max_tokens
        if not self._spec.speculation.is_plain and self._total.drafted == 0 and not ended:
            raise StartError(
                "asked for mtp, but it drafted nothing in the probe request", log_tail(self._log)
            )

    def _check(self, health: dict[str, Any]) -> None:
        asked = self._spec.speculation
        wanted = "ar" if asked.is_plain else "mtp"
        mode, depth = health.get("generation_mode"), health.get("depth")
        if mode != wanted:
            said = without_heads(self._log)
            reason = f"asked for {asked.method}, but mtplx decodes in its mode {mode!r:.40}"
            raise StartError(": ".join(filter(None, [reason, said])), log_tail(self._log))
        if not asked.is_plain and depth != asked.draft_tokens:
            raise StartError(
                f"asked for drafts of {asked.draft_tokens} tokens, but mtplx makes them of "
                f"{depth!r:.40}",
                log_tail(self._log),
            )

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        """As in the contract, but that the bursts come when all have arrived.

        How many tokens they are is known only then; their times are those of their arrival.
        """
        assert self._spec.model is not None
        payload: dict[str, JSON] = {
            # Raw completions keep nothing of a prompt, and look nothing up.
            "prompt": await self._prompts.tokens(self._spec.model, request.messages),
            "max_tokens": request.max_tokens,
            # By temperature alone, so that runners with other defaults can be compared.
            "temperature": request.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": request.seed,
            "stream": True,
        }
        answer = Answer(
            draft_tokens=self._spec.speculation.draft_tokens, temperature=request.temperature
        )
        url = f"{self._address}/v1/completions"
        try:
            async with open_stream(
                url, payload, timeout_s=request.timeout_s, headers=HEADERS
            ) as stream:
                async for event in stream:
                    if event.data == "[DONE]":
                        break
                    answer.add(event.at, Chunk.parse(event.data))
                bursts, completion, drafts = answer.finish(stream.sent_at)
        except RequestError as error:
            raise await self._explain(error) from None
        self._add(drafts)
        for burst in bursts:
            yield burst
        yield completion

    def _add(self, drafts: Drafts) -> None:
        before = self._total
        positions = itertools.zip_longest(
            before.accepted_per_position or (), drafts.per_position, fillvalue=0
        )
        self._total = Counters(
            (before.drafted or 0) + drafts.drafted,
            before.accepted + drafts.accepted,
            before.steps + drafts.steps,
            tuple(map(sum, positions)),
        )
        self._disagreement = self._disagreement or drafts.disagreement

    async def counters(self) -> Counters | None:
        """The answers added up: mtplx has no totals of its own."""
        return None if self._spec.speculation.is_plain else self._total

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        """Not exposed: nobody knows the ids that were written."""
        return None

    async def review(self) -> Review:
        if self._spec.speculation.is_plain:
            return Review()
        return Review(
            disagreement=self._disagreement, draft_limit=self._spec.speculation.draft_tokens
        )

    async def stop(self) -> None:
        await self._process.stop()

    async def _explain(self, error: RequestError) -> RequestError:
        """A lost server with the reason that its log tells; another error as it is."""
        if not error.server_lost:
            return error
        lost = await self._process.explain(error)
        reason = why(self._log)
        return RequestError(f"{lost}: {reason}" if reason else str(lost), server_lost=True)


async def health_of(address: str, timeout_s: float) -> dict[str, Any] | None:
    """What /health says; None where it is not an mtplx's that is up.

    Raises:
        RequestError: nobody answers.
    """
    reply = await fetch(f"{address}/health", timeout_s=timeout_s)
    if reply.status != 200:
        return None
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and said.get("ok") is True else None
