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
from runners.base.json_text import count, count_or_none, positive, read_object, readable
from runners.endpoint.drafts import Said
from runners.endpoint.kinds import Kind

THOUGHTS = ("reasoning_content", "reasoning")
TEXTS = (*THOUGHTS, "content", "refusal")
"""Fields of a delta that hold generated text; a model that thinks does so before its answer."""
LONGEST_REASON = 40
FINISHES = {"eos_token": "stop", "stop_sequence": "stop", "eos": "stop", "max_tokens": "length"}


@dataclass(frozen=True)
class Chunk:
    """One event of the stream."""

    text: str = ""
    thinks: bool = False
    """Whether some of the text is a model's thinking before its answer."""
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
            so_far = timings.get("predicted_n")
            if so_far is None:
                so_far = usage.get("completion_tokens")
            finish = choice.get("finish_reason")
            return cls(
                text="".join(str(delta.get(name) or "") for name in TEXTS) + _calls(delta),
                thinks=any(delta.get(name) for name in THOUGHTS),
                ids=None if ids is None else tuple(int(token) for token in ids),
                so_far=count_or_none(so_far),
                finish_reason=None if finish is None else _reason(str(finish)),
                usage=usage,
                body=body,
            )


def _calls(delta: Mapping[str, Any]) -> str:
    """What of a call of a tool came: a server may take text of the model for one."""
    functions = [call.get("function") or {} for call in delta.get("tool_calls") or ()]
    return "".join(str(f.get("name") or "") + str(f.get("arguments") or "") for f in functions)


def _reason(told: str) -> str:
    known = FINISHES.get(told, told)
    return known if known.isprintable() and len(known) <= LONGEST_REASON else "unknown"


@dataclass(frozen=True)
class _Arrival:
    """What came in one chunk."""

    at: float
    text: str
    tokens: int | None
    ids: tuple[int, ...] | None


class Answer:
    """One answer as its chunks tell it."""

    def __init__(self, kind: Kind, *, limit: int | None = None, unmerged: bool = False) -> None:
        """`limit`: the most tokens that it may have. `unmerged`: the server was started by us, and
        sends the tokens of each step as soon as they are there."""
        self._kind = kind
        self._unmerged = unmerged
        self._limit = limit
        self._arrivals: list[_Arrival] = []
        self._counted = 0
        self._thinks = False
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
        self._thinks |= chunk.thinks
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
    def chunks(self) -> int:
        """That held something of the answer."""
        return len(self._arrivals)

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
            cached = self._timings.get("cache_n")
            if cached is None:
                cached = details.get("cached_tokens")
            prefill_ms = positive(self._timings.get("prompt_ms"))
            decode_ms = positive(self._timings.get("predicted_ms"))
            return bursts, Completion(
                sent_at=sent_at,
                output_tokens=tokens,
                finish_reason=self._finish_reason,
                prompt_tokens=count_or_none(self._usage.get("prompt_tokens")),
                cached_tokens=count_or_none(cached),
                prefill_s=None if prefill_ms is None else prefill_ms / 1000,
                decode_s=None if decode_ms is None else decode_ms / 1000,
                decode_rate=positive(self._timings.get("predicted_per_second")),
                drafted=drafted,
                accepted=accepted,
                steps=steps,
                first_burst_at_most=at_most,
            )

    def _tokens(self) -> int | None:
        for told in (self._usage.get("completion_tokens"), self._timings.get("predicted_n")):
            if told is not None:
                return count(told)
        if any(arrival.ids is not None for arrival in self._arrivals):
            return self._counted
        # An answer that was cut is as long as it may be.
        return self._limit if self._finish_reason == "length" else None

    def _bursts(self, tokens: int) -> tuple[list[Burst], int | None]:
        """The bursts, and the most that the first may hold where that is not told."""
        counts = [arrival.tokens for arrival in self._arrivals]
        told = [each for each in counts if each is not None]
        shared, before = False, 0
        # A total that only the chunk at the end tells says nothing of the chunks before it, and
        # one that lags behind the text says too little of the first.
        if len(told) < len(counts) or (len(counts) > 1 and not told[0]):
            before = self._unseen(tokens)
            told = list(spread([arrival.text for arrival in self._arrivals], tokens - before))
            shared = len(told) != tokens - before
            told[0] += before
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
        at_most = before + (most_in_first(later + 1, tokens - before) or 0)
        return bursts, max(bursts[0].tokens, at_most)

    def _unseen(self, tokens: int) -> int:
        """Tokens of thinking that a server keeps to itself: they came before the first chunk."""
        details = self._usage.get("completion_tokens_details") or {}
        thought = count_or_none(details.get("reasoning_tokens")) or 0
        text = "".join(arrival.text for arrival in self._arrivals[:8]).lstrip()
        if self._thinks or text.startswith("<") or thought >= tokens:
            return 0
        # Some do not count it among the answer's.
        total, prompt = self._usage.get("total_tokens"), self._usage.get("prompt_tokens")
        apart = total is not None and prompt is not None and total >= prompt + tokens + thought
        return 0 if apart else thought

    def _speculation(self, tokens: int) -> tuple[int | None, int | None, int | None]:
        """Drafted, accepted and steps, as far as the answer itself tells them."""
        said = Said(self._kind, tokens, self.chunks, self._timings, self._usage, self._last)
        if (told := said.drafts()) is not None:
            return told
        average = positive(self._last.get("avg_decoded_tokens_per_iter"))
        if average is not None:
            return None, None, min(tokens, max(1, round(tokens / average)))
        # Several steps may have been sent in one chunk, but not if each has one token.
        certain = self._kind.chunk_is_step and (self._unmerged or self.chunks == tokens)
        return None, None, self.chunks if certain else None


def _merged(arrivals: Sequence[_Arrival], tokens: Sequence[int]) -> list[Burst]:
    """One burst for each read of the connection; text that holds no new token goes to the last."""
    bursts: list[Burst] = []
    for arrival, held in zip(arrivals, tokens, strict=True):
        own = arrival.ids or ()
        whole = len(own) == held
        last = bursts[-1] if bursts else None
        if last is None or (arrival.at > last.at and held):
            bursts.append(Burst(arrival.at, held, arrival.text, own if whole else None))
            continue
        ids = (*last.token_ids, *own) if last.token_ids is not None and whole else None
        bursts[-1] = replace(
            last, tokens=last.tokens + held, text=last.text + arrival.text, token_ids=ids
        )
    return bursts
