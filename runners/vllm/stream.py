"""The chunks of vLLM's /v1/completions stream, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runners.base.contract import Burst, Completion, RequestError
from runners.base.json_text import read_object, readable


@dataclass(frozen=True)
class Chunk:
    """One event of the stream: tokens, the usage at the end, or neither."""

    text: str
    tokens: tuple[int, ...] | None
    """None in builds that do not tell ids, before September 2025."""
    finish_reason: str | None
    prompt_tokens: int | None
    """Ids of the prompt, counted; the first chunk tells them."""
    usage: dict[str, Any] | None
    metrics: dict[str, Any]

    @classmethod
    def parse(cls, data: str) -> Chunk:
        body = read_object(data)
        with readable(data):
            choice = body["choices"][0] if body["choices"] else {}
            ids, prompt = choice.get("token_ids"), choice.get("prompt_token_ids")
            reason = choice.get("finish_reason")
            return cls(
                text=str(choice.get("text") or ""),
                tokens=None if ids is None else tuple(int(token) for token in ids),
                finish_reason=None if reason is None else str(reason),
                prompt_tokens=None if prompt is None else len(prompt),
                usage=body.get("usage"),
                metrics=dict(body.get("metrics") or {}),
            )


class Answer:
    """One answer as its chunks tell it."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._bursts = 0
        self._tokens = 0
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._metrics: dict[str, Any] = {}

    def add(self, at: float, chunk: Chunk) -> Burst | None:
        """The burst of a chunk; None of one without tokens."""
        self._finish_reason = chunk.finish_reason or self._finish_reason
        if chunk.usage is not None:
            self._usage, self._metrics = chunk.usage, chunk.metrics
        if chunk.tokens is None and chunk.text:
            raise RequestError(
                "this vLLM tells no token ids, so tokens cannot be counted: it is from before "
                "September 2025 (0.10.2)"
            )
        if not chunk.tokens:
            return None
        self._bursts += 1
        self._tokens += len(chunk.tokens)
        return Burst(at, len(chunk.tokens), chunk.text, chunk.tokens)

    def completion(self, sent_at: float) -> Completion:
        """What the closing chunk says of the whole answer.

        Raises:
            RequestError: there was none.
        """
        if self._usage is None:
            raise RequestError("the stream ended without its usage", server_lost=True)
        with readable(self._usage):
            details = self._usage.get("prompt_tokens_details") or {}
            cached = details.get("cached_tokens")
            generating = self._metrics.get("generation_time_ms")
            decode_s = None if generating is None else float(generating) / 1000
            first = self._metrics.get("time_to_first_token_ms")
            queued = float(self._metrics.get("queue_time_ms") or 0)
            drafted, accepted, steps = self._speculation()
            return Completion(
                sent_at=sent_at,
                output_tokens=int(self._usage["completion_tokens"]),
                finish_reason=self._finish_reason,
                prompt_tokens=int(self._usage["prompt_tokens"]),
                # Told only where there are some, in builds of 2025; nothing is cached there.
                cached_tokens=None if cached is None else int(cached),
                prefill_s=None if first is None else (float(first) - queued) / 1000,
                decode_s=decode_s,
                # The first token came with the prefill.
                decode_rate=(self._tokens - 1) / decode_s if decode_s else None,
                drafted=drafted,
                accepted=accepted,
                steps=steps,
            )

    def _speculation(self) -> tuple[int | None, int | None, int | None]:
        """Drafted, accepted and steps; the first two None where the build tells no request's."""
        if self._plain:
            return 0, 0, self._tokens
        said = self._metrics.get("speculative_decoding")
        if said is None:
            # The counters' accepted tokens go beyond the limit, so that steps would be too few.
            return None, None, self._bursts
        drafted, accepted = int(said["num_draft_tokens"]), int(said["num_accepted_draft_tokens"])
        verified = int(said["num_spec_steps"])
        # A verification yields its accepted tokens and one more; every other step, the prefill's
        # among them, one. The limit may cut the last verification.
        others = max(1, self._tokens - verified - accepted)
        # Chunks are merged when they are not fetched in time, and never parted.
        return drafted, accepted, max(verified + others, self._bursts)
