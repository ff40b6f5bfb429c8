"""The lines of Ollama's /api/generate and /api/chat streams, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runners.base.chunks import spread
from runners.base.contract import Burst, Completion, RequestError
from runners.base.json_text import count, count_or_none, positive, read_object, readable

NANOSECONDS = 1e9


@dataclass(frozen=True)
class Line:
    """One line of a stream."""

    at: float
    text: str
    """Of the answer, and of the thinking before it: both were generated."""
    done: bool
    body: dict[str, Any]

    @classmethod
    def parse(cls, at: float, data: str) -> Line:
        body = read_object(data)
        with readable(data):
            part = body.get("message") or body
            said = part.get("content") if "message" in body else part.get("response")
            text = str(part.get("thinking") or "") + str(said or "")
            return cls(at, text, bool(body.get("done")), body)


class Answer:
    """One answer as its lines tell it. How many tokens a line holds, only their sum tells."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._chunks: list[tuple[float, str]] = []
        self._last: Line | None = None

    def add(self, line: Line) -> None:
        if line.text:
            self._chunks.append((line.at, line.text))
        if line.done:
            self._last = line

    @property
    def done(self) -> bool:
        return self._last is not None

    def finish(self, sent_at: float, cached: int | None) -> tuple[list[Burst], Completion]:
        """The bursts with their shares of the tokens, and what the last line says of the whole.

        `cached`: tokens of the prompt that were in a cache, where the answer does not tell.

        Raises:
            RequestError: the stream had no last line, or one that cannot be read.
        """
        if self._last is None:
            raise RequestError("the stream ended without its last line", server_lost=True)
        body = self._last.body
        with readable(body):
            tokens = count(body.get("eval_count") or 0)
            reason = str(body.get("done_reason") or "stop")
            told = count_or_none(body.get("prompt_eval_cached_count"))
            cached = cached if told is None else told
            prompt = count_or_none(body.get("prompt_eval_count"))
            prefill_s = (positive(body.get("prompt_eval_duration")) or 0.0) / NANOSECONDS
            decode_s = (positive(body.get("eval_duration")) or 0.0) / NANOSECONDS
        if self._chunks and not tokens:
            raise RequestError("the runner does not tell how many tokens it generated")
        if tokens and not self._chunks and reason != "stop":
            raise RequestError(f"the runner counts {tokens} tokens and has sent no text")
        if reason == "stop" and len(self._chunks) < tokens:
            # The token that ends a text is counted, and has no text of its own.
            self._chunks.append((self._last.at, ""))
        bursts, at_most = self._bursts(tokens)
        return bursts, Completion(
            sent_at=sent_at,
            output_tokens=tokens,
            finish_reason=reason,
            prompt_tokens=prompt,
            cached_tokens=cached,
            # It is the time of the uncached part alone: useless where nobody knows which that is.
            prefill_s=prefill_s or None if cached is not None else None,
            decode_s=decode_s or None,
            decode_rate=tokens / decode_s if decode_s else None,
            drafted=0 if self._plain else None,
            accepted=0 if self._plain else None,
            steps=tokens if self._plain else None,
            first_burst_at_most=at_most,
        )

    def _bursts(self, tokens: int) -> tuple[list[Burst], int | None]:
        """One burst for all lines that came in together, and the most that the first may hold."""
        shares = spread([text for _, text in self._chunks], tokens)
        bursts: list[Burst] = []
        first = 0
        for (at, text), share in zip(self._chunks, shares, strict=True):
            if bursts and (share == 0 or bursts[-1].at == at):
                before = bursts.pop()
                bursts.append(Burst(before.at, before.tokens + share, before.text + text))
            else:
                bursts.append(Burst(at, share, text))
            first += len(bursts) == 1
        if not bursts or len(shares) == tokens:
            return bursts, None
        # Every other line is taken to hold a token at least, as far as they go round.
        return bursts, max(bursts[0].tokens, tokens - len(shares) + first)
