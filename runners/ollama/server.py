"""A running Ollama with one model: requests, counters, and whether it speculates as asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace

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
from runners.base.process import log_tail
from runners.base.speculation import PLAIN_DECODING
from runners.base.stream import JSON, open_lines
from runners.llama_cpp.log import read_drafts
from runners.llama_cpp.methods import METHODS as LLAMA_METHODS
from runners.ollama.child import ChildClient
from runners.ollama.launch import Settings
from runners.ollama.log import Child, answers_in, child_of, remark_of, why
from runners.ollama.methods import NO_SWITCH, NO_SWITCH_NOTE
from runners.ollama.models import Models
from runners.ollama.place import Place
from runners.ollama.stream import Answer, Line

PROBE = Request((Message("user", "Hi"),), max_tokens=4)
LOGGED_S = 1.0
"""How long the log may lag behind an answer."""
CHILD_LOST = (
    "unexpectedly stopped",
    "no longer running",
    "has terminated",
    "error was encountered while running the model",
    "llama-server exit",
)
"""What Ollama says when its llama-server has died. It would start another one for the next request,
whose counters begin anew: the launch is over."""
REPEATS = "token repeat limit"
GREEDY: dict[str, JSON] = {"repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""Before 0.30 its own penalty is 1.1, which changes greedy answers."""
BY_TEMPERATURE: dict[str, JSON] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0}
"""Sampling by temperature alone, so that runners with other defaults can be compared."""


class OllamaServer:
    """One launch."""

    def __init__(self, place: Place, models: Models, spec: LaunchSpec, settings: Settings) -> None:
        self._place = place
        self._models = models
        self._spec = spec
        self._settings = settings
        self._child: Child | None = None
        self._client: ChildClient | None = None
        self._under_way = 0
        self._answers = self._received = 0
        """Finished, and their tokens."""
        self._stopped = False

    @property
    def pid(self) -> int | None:
        return self._place.pid

    async def probe(self, timeout_s: float, *, has_child: bool) -> None:
        """A few tokens, and a look at whether speculation really is on.

        `has_child`: this Ollama runs GGUF models in a llama-server, which its log names.

        Raises:
            StartError: no answer, or not the way of speculating that was asked for.
        """
        try:
            if has_child and self._place.process is not None:
                self._child = child_of(self._place.log)
                if self._child is not None:
                    self._client = ChildClient(self._child.address, self._settings.think)
                await self._check_speculation()
            async for _ in self.stream(replace(PROBE, timeout_s=timeout_s)):
                pass
        except StartError:
            raise
        except RunnerError as error:
            raise StartError(f"did not answer a probe request: {error}", self._tail()) from None

    async def _check_speculation(self) -> None:
        """Ollama passes a draft length over where it finds no heads, and says nothing of it.

        Raises:
            StartError: it does not draft as it was asked to.
        """
        asked = self._spec.speculation
        if self._child is None or self._client is None:
            if asked.is_plain:
                return
            raise StartError(
                f"asked for {asked.method}, but its log names no llama-server, so that nobody can "
                "tell whether it speculates",
                self._tail(),
            )
        passed = self._child.spec_type
        wanted = None if asked.is_plain else LLAMA_METHODS[asked.method].spec_type
        speculates = await self._client.speculates()
        if passed not in (None, wanted) or (speculates is True and asked.is_plain):
            raise StartError(
                f"asked for {asked.method}, but Ollama chose {passed or 'to speculate'}",
                self._tail(),
            )
        needs_flag = asked.method in ("mtp", "dflash")
        if (needs_flag and passed is None) or (speculates is False and not asked.is_plain):
            reason = remark_of(self._place.log) or (
                "it finds no MTP heads in the model"
                if asked.method == "mtp"
                else "its log tells no reason"
            )
            raise StartError(
                f"asked for {asked.method}, but it serves without speculation: {reason}",
                self._tail(),
            )

    # ---- requests ------------------------------------------------------------------------------

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        alone = not self._under_way
        self._under_way += 1
        try:
            path, payload, cached = await self._request(request, alone=alone)
            answer = Answer(plain=self._spec.speculation.is_plain)
            async with open_lines(
                f"{self._place.address}{path}", payload, timeout_s=request.timeout_s
            ) as lines:
                async for event in lines:
                    answer.add(Line.parse(event.at, event.data))
                    if answer.done:
                        break
                bursts, completion = answer.finish(lines.sent_at, cached)
        except RequestError as error:
            raise await self._explain(error) from None
        finally:
            self._under_way -= 1
        self._answers += 1
        self._received += completion.output_tokens or 0
        for burst in bursts:
            yield burst
        yield completion

    async def _request(
        self, request: Request, *, alone: bool
    ) -> tuple[str, dict[str, JSON], int | None]:
        """Where it goes, what is sent, and how much of the prompt is cached, where that is known.

        The prompt is llama-server's own where it has the template, word for word what the runner
        llama.cpp sends; where Ollama writes the prompts, it gets the conversation.
        """
        options: dict[str, JSON] = {
            "temperature": request.temperature,
            "seed": request.seed,
            "num_predict": request.max_tokens,
            **GREEDY,
            **(BY_TEMPERATURE if request.temperature > 0 else {}),
        }
        payload: dict[str, JSON] = {
            "model": self._models.name,
            "stream": True,
            # Too long a prompt is an error, and not cut.
            "truncate": False,
            "shift": False,
        }
        if self._child is None or self._client is None or not self._child.templates:
            if self._settings.think is not None:
                payload["think"] = self._settings.think
            payload |= {"messages": [asdict(each) for each in request.messages], "options": options}
            return "/api/chat", payload, None
        prompt = await self._client.prompt(request.messages)
        if alone:
            await self._client.forget(prompt, self._settings.parallel)
        # Without the template's stop words: the model's own end of text does.
        options["stop"] = []
        payload |= {"prompt": prompt.text, "raw": True, "think": False, "options": options}
        return "/api/generate", payload, 0 if alone and prompt.first is not None else None

    async def _explain(self, error: RequestError) -> RequestError:
        """The error with what is known of its cause, and whether the launch is over."""
        said = str(error)
        if REPEATS in said:
            return RequestError(
                "Ollama breaks off an answer that repeats one piece of text many times in a row "
                f"(it counts identical chunks), and this one did: {said}"
            )
        if error.server_lost and self._place.process is not None:
            lost = await self._place.process.explain(error)
            reason = why(self._place.log)
            return RequestError(f"{lost}: {reason}" if reason else str(lost), server_lost=True)
        if any(words in said for words in CHILD_LOST):
            return RequestError(f"the model's process has died: {said}", server_lost=True)
        return error

    # ---- speculation ---------------------------------------------------------------------------

    async def counters(self) -> Counters | None:
        if self._client is None or self._spec.speculation.is_plain:
            return None
        try:
            counted = await self._client.counts()
        except RequestError as error:
            raise await self._explain(error) from None
        if counted is None:
            counted = await self._logged()
        # Each step yields its accepted tokens and one of its own.
        return replace(counted, steps=self._received - counted.accepted)

    async def _logged(self) -> Counters:
        """Of a llama-server that does not count: the totals of its log, once it has all of it."""
        deadline = asyncio.get_running_loop().time() + LOGGED_S
        while answers_in(self._place.log) < self._answers:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(LOGGED_S / 20)
        accepted, drafted = read_drafts(self._place.log).acceptance or (0, 0)
        return Counters(drafted, accepted, 0, None)

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        if self._client is None or self._child is None or not self._child.templates:
            return None
        try:
            return await self._client.next_tokens(
                request.messages, written, count, request.timeout_s
            )
        except RequestError as error:
            raise await self._explain(error) from None

    async def review(self) -> Review:
        remarks = []
        if NO_SWITCH in os.environ:
            remarks.append(f"{NO_SWITCH} is set, and does nothing: {NO_SWITCH_NOTE}")
        if self._child is not None and not self._child.templates:
            remarks.append("prompts are by Ollama's template, not by the model file's")
        if self._client is None or self._spec.speculation == PLAIN_DECODING:
            return Review("; ".join(remarks) or None)
        if (said := remark_of(self._place.log)) is not None:
            remarks.append(said)
        limit = self._child.draft_tokens if self._child is not None else None
        return Review("; ".join(remarks) or None, await self._disagreement(), limit)

    async def _disagreement(self) -> str | None:
        """The counters against the log, which is written a little later."""
        deadline = asyncio.get_running_loop().time() + LOGGED_S
        while True:
            try:
                counted = None if self._client is None else await self._client.counts()
            except RunnerError:
                return None
            logged = read_drafts(self._place.log).acceptance
            if counted is None or logged is None or logged == (counted.accepted, counted.drafted):
                return None
            if asyncio.get_running_loop().time() > deadline:
                return (
                    f"accepted and drafted tokens differ: /metrics: {counted.accepted} of "
                    f"{counted.drafted}, the log: {logged[0]} of {logged[1]}"
                )
            await asyncio.sleep(LOGGED_S / 10)

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._place.process is None:
            with contextlib.suppress(RunnerError):
                await self._models.remove()
            return
        try:
            await self._place.process.stop()
        finally:
            if self._place.store is not None:
                self._place.store.clear()

    def _tail(self) -> str:
        return log_tail(self._place.log)
