"""The chunks of an OpenAI-compatible chat stream, put together to bursts and a completion.

Tokens are the server's own counts: ids of each chunk, or running totals in each chunk, or, where
only the end tells how many there were, shares of that by length of text. A server that counts
nothing at all leaves one way: an answer that was cut has as many as it was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runners.base.chunks import most_in_first, spread
from runners.base.contract import Burst, Completion, RequestError
from runners.base.json_text import read_object, readable

TEXTS = ("reasoning_content", "reasoning", "content")
"""Fields of a delta that hold generated text; a model that thinks does so before its answer."""
FINISHES = {"eos_token": "stop", "stop_sequence": "stop", "eos": "stop", "max_tokens": "length"}


@dataclass(frozen=True)
class Chunk:
    """One event of the stream."""

    text: str = ""
    ids: tuple[int, ...] | None = None
    """None where the server tells none."""
    so_far: int | None = None
    """Tokens of the answer up to here; None where the chunk does not tell."""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: str) -> Chunk:
        """Read an event.

        Raises:
            RequestError: no JSON object, one that tells an error, or of another shape.
        """
        body = read_object(data)
        with readable(data):
            if body.get("object") == "error":
                raise RequestError(f"the server answered with an error: {body.get('message')}")
            choices = body.get("choices") or [{}]
            choice = choices[0]
            delta = choice.get("delta") or {}
            usage = dict(body.get("usage") or {})
            timings = body.get("timings") or {}
            ids = choice.get("token_ids")
            so_far = timings.get("predicted_n", usage.get("completion_tokens"))
            finish = choice.get("finish_reason")
            return cls(
                text="".join(str(delta.get(name) or "") for name in TEXTS),
                ids=None if ids is None else tuple(int(token) for token in ids),
                so_far=None if so_far is None else int(so_far),
                finish_reason=None if finish is None else FINISHES.get(str(finish), str(finish)),
                usage=usage,
                body=body,
            )


@dataclass(frozen=True)
class _Arrival:
    """What came in one chunk."""

    at: float
    text: str
    tokens: int | None
    ids: tuple[int, ...] | None


class Answer:
    """One answer as its chunks tell it."""

    def __init__(self, *, chunk_is_step: bool, limit: int | None = None) -> None:
        """`limit`: the most tokens that the answer may have."""
        self._chunk_is_step = chunk_is_step
        self._limit = limit
        self._arrivals: list[_Arrival] = []
        self._counted = 0
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}
        self._last: dict[str, Any] = {}

    def add(self, at: float, chunk: Chunk) -> None:
        """Take in a chunk that arrived at `at`. Signs of life, which hold nothing, are no burst."""
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        self._timings = chunk.body.get("timings") or self._timings
        for key in ("metrics", "sglext", "stats"):
            if chunk.body.get(key):
                self._last[key] = chunk.body[key]
        choices = chunk.body.get("choices") or [{}]
        if (average := choices[0].get("avg_decoded_tokens_per_iter")) is not None:
            self._last["avg_decoded_tokens_per_iter"] = average
        new = None
        if chunk.ids is not None:
            new = len(chunk.ids)
            self._counted += new
        elif chunk.so_far is not None:
            new = max(0, chunk.so_far - self._counted)
            self._counted += new
        # What only tells the total at the end came with nothing of the answer.
        closing = not choices[0] and not chunk.text
        if chunk.text or (new and not closing):
            self._arrivals.append(_Arrival(at, chunk.text, new, chunk.ids))

    @property
    def is_over(self) -> bool:
        """Whether the server has said why the answer ends."""
        return self._finish_reason is not None

    def finish(self, sent_at: float) -> tuple[list[Burst], Completion]:
        """The whole answer, once its last chunk is in.

        Raises:
            RequestError: it broke off, or nothing tells how many tokens there are.
        """
        if not self.is_over:
            raise RequestError("the stream ended before its answer did", server_lost=True)
        with readable(self._usage):
            tokens = self._tokens()
            if tokens is None:
                raise RequestError(
                    "the server tells neither usage nor token ids, so the tokens of an answer that "
                    "ends before the limit cannot be counted"
                )
            bursts, at_most = self._bursts(tokens)
            drafted, accepted, steps = self._speculation(tokens)
            details = self._usage.get("prompt_tokens_details") or {}
            cached = self._timings.get("cache_n", details.get("cached_tokens"))
            prompt = self._usage.get("prompt_tokens")
            prefill_ms = self._timings.get("prompt_ms")
            decode_ms = self._timings.get("predicted_ms")
            rate = self._timings.get("predicted_per_second")
            return bursts, Completion(
                sent_at=sent_at,
                output_tokens=tokens,
                finish_reason=self._finish_reason,
                prompt_tokens=None if prompt is None else int(prompt),
                cached_tokens=None if cached is None else int(cached),
                prefill_s=None if prefill_ms is None else float(prefill_ms) / 1000,
                decode_s=None if decode_ms is None else float(decode_ms) / 1000,
                decode_rate=float(rate) if rate else None,
                drafted=drafted,
                accepted=accepted,
                steps=steps,
                first_burst_at_most=at_most,
            )

    def _tokens(self) -> int | None:
        told = self._usage.get("completion_tokens", self._timings.get("predicted_n"))
        if told is not None:
            return int(told)
        if any(arrival.ids is not None for arrival in self._arrivals):
            return self._counted
        # An answer that was cut is as long as it may be.
        return self._limit if self._finish_reason == "length" else None

    def _bursts(self, tokens: int) -> tuple[list[Burst], int | None]:
        """The bursts, and the most that the first may hold where that is not told."""
        counts = [arrival.tokens for arrival in self._arrivals]
        told = [count for count in counts if count is not None]
        shared = False
        # A total that only the chunk at the end tells says nothing of the chunks before it.
        if len(told) < len(counts) or (len(counts) > 1 and not any(told[:-1])):
            told = list(spread([arrival.text for arrival in self._arrivals], tokens))
            shared = len(told) != tokens
        elif (held_back := tokens - sum(told)) < 0:
            raise RequestError(
                f"the chunks of the answer hold {sum(told)} tokens, and its usage tells {tokens}"
            )
        elif counts:
            # The end of the text can be counted without being sent.
            told[-1] += held_back
        bursts = _merged(self._arrivals, told)
        if not shared or not bursts:
            return bursts, None
        # The chunks that came in together are one burst.
        later = sum(arrival.at > bursts[0].at for arrival in self._arrivals)
        return bursts, max(bursts[0].tokens, most_in_first(later + 1, tokens) or 0)

    def _speculation(self, tokens: int) -> tuple[int | None, int | None, int | None]:
        """Drafted, accepted and steps, as far as the answer itself tells them."""
        if "predicted_n" in self._timings:
            # Left out when nothing was drafted, and only then.
            drafted = int(self._timings.get("draft_n", 0))
            accepted = int(self._timings.get("draft_n_accepted", 0))
            return drafted, accepted, tokens - accepted
        said = (self._last.get("metrics") or {}).get("speculative_decoding")
        if said:
            drafted = int(said["num_draft_tokens"])
            accepted, verified = int(said["num_accepted_draft_tokens"]), int(said["num_spec_steps"])
            others = max(1, tokens - verified - accepted)
            return drafted, accepted, max(verified + others, len(self._arrivals))
        said = (self._last.get("sglext") or {}).get("spec_tokens_details")
        if said:
            accepted = int(said["spec_num_correct_drafts"])
            proposed = int(said["spec_num_proposed_drafts"])
            # The prefill's token comes of no verification.
            return proposed, accepted, int(said["spec_verify_ct"]) + 1
        said = self._last.get("stats") or {}
        for place in (said, self._usage):
            if place.get("total_draft_tokens_count") is not None:
                accepted = int(place["accepted_draft_tokens_count"])
                return int(place["total_draft_tokens_count"]), accepted, tokens - accepted
        average = self._last.get("avg_decoded_tokens_per_iter")
        if average:
            return None, None, max(1, round(tokens / float(average)))
        return None, None, len(self._arrivals) if self._chunk_is_step else None


def _merged(arrivals: Sequence[_Arrival], tokens: Sequence[int]) -> list[Burst]:
    """One burst for each read of the connection; text that holds no new token goes to the last."""
    bursts: list[Burst] = []
    for arrival, count in zip(arrivals, tokens, strict=True):
        own = arrival.ids or ()
        whole = len(own) == count
        last = bursts[-1] if bursts else None
        if last is None or (arrival.at > last.at and count):
            bursts.append(Burst(arrival.at, count, arrival.text, own if whole else None))
            continue
        ids = (*last.token_ids, *own) if last.token_ids is not None and whole else None
        bursts[-1] = replace(
            last, tokens=last.tokens + count, text=last.text + arrival.text, token_ids=ids
        )
    return bursts
