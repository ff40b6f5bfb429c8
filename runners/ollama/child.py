"""The llama-server that runs Ollama's model, asked directly: what Ollama itself does not tell.

Nothing that is timed goes to it, only questions between the requests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runners.base.contract import Counters, Message, NextToken, RequestError, RunnerError
from runners.base.counters import CounterNames, read_counters
from runners.base.json_text import read_object, readable
from runners.base.stream import JSON, fetch
from runners.llama_cpp.server import likeliest

SMALL_REQUEST_S = 30.0
HEAD = 64
"""Characters of a prompt in which its first token lies."""

COUNTERS = CounterNames(
    drafted="llamacpp:spec_decode_num_draft_tokens_total",
    accepted="llamacpp:spec_decode_num_accepted_tokens_total",
    steps=None,
    per_position="llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
)


@dataclass(frozen=True)
class Prompt:
    """A conversation by the model's chat template."""

    text: str
    first: int | None
    """Its first token, by id; None where the build does not tell."""


class ChildClient:
    """Questions to one llama-server."""

    def __init__(self, address: str, think: bool | str | None) -> None:
        self._address = address
        self._think = think
        self._prompts: dict[tuple[Message, ...], Prompt] = {}

    async def speculates(self) -> bool | None:
        """Whether its slots make drafts; None: the build does not tell.

        Raises:
            RequestError: it does not answer.
        """
        reply = await fetch(f"{self._address}/slots", timeout_s=SMALL_REQUEST_S)
        try:
            return bool(json.loads(reply.body)[0]["speculative"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return None

    async def prompt(self, messages: tuple[Message, ...]) -> Prompt:
        """The prompt of a conversation, asked for once for each.

        Raises:
            RequestError: there is no such template, or no answer.
        """
        if messages not in self._prompts:
            asked: dict[str, JSON] = {"messages": [asdict(message) for message in messages]}
            if self._think is not None:
                asked["chat_template_kwargs"] = {"enable_thinking": bool(self._think)} | (
                    {"reasoning_effort": self._think} if isinstance(self._think, str) else {}
                )
            body = await self._post("/apply-template", asked)
            with readable(body):
                text = str(body["prompt"])
            self._prompts[messages] = Prompt(text, await self._first_token(text))
        return self._prompts[messages]

    async def _first_token(self, text: str) -> int | None:
        asked: dict[str, JSON] = {
            "content": text[:HEAD],
            "add_special": True,
            "parse_special": True,
        }
        try:
            body = await self._post("/tokenize", asked)
            with readable(body):
                return int(body["tokens"][0])
        except RequestError as error:
            if error.server_lost:
                raise
            return None

    async def forget(self, prompt: Prompt, slots: int) -> None:
        """Put another prompt in the place of what each slot remembers.

        Ollama always asks for cached prompts, and a request that begins like the one before would
        not be measured whole.

        Raises:
            RequestError: it does not answer.
        """
        other = 1 if prompt.first == 0 else 0
        for slot in range(slots):
            asked: dict[str, JSON] = {
                "prompt": [other],
                "n_predict": 0,
                "cache_prompt": False,
                "id_slot": slot,
            }
            await self._post("/completion", asked)

    async def counts(self) -> Counters | None:
        """Drafted and accepted tokens since it was started; None: the build does not count.

        Raises:
            RequestError: it does not answer.
        """
        reply = await fetch(f"{self._address}/metrics", timeout_s=SMALL_REQUEST_S)
        if reply.status != 200:
            return None
        try:
            return read_counters(reply.body.decode(errors="replace"), COUNTERS)
        except RunnerError:
            return None

    async def next_tokens(
        self, messages: tuple[Message, ...], written: Sequence[int], count: int, timeout_s: float
    ) -> tuple[NextToken, ...] | None:
        """As `Server.next_tokens`."""
        prompt = await self.prompt(messages)
        asked: dict[str, JSON] = {
            "prompt": [prompt.text, *written],
            "n_predict": 1,
            "temperature": 0,
            "cache_prompt": False,
            "n_probs": count,
            "post_sampling_probs": False,
        }
        reply = await fetch(f"{self._address}/completion", asked, timeout_s=timeout_s)
        if reply.status != 200:
            text = reply.body[:300].decode(errors="replace")
            raise RequestError(f"/completion failed with HTTP {reply.status}: {text}")
        return likeliest(reply.body, count)

    async def _post(self, path: str, asked: dict[str, JSON]) -> dict[str, Any]:
        reply = await fetch(f"{self._address}{path}", asked, timeout_s=SMALL_REQUEST_S)
        text = reply.body.decode(errors="replace")
        if reply.status != 200:
            raise RequestError(f"{path} failed with HTTP {reply.status}: {text[:300]}")
        return read_object(text)
