"""The stream of mtplx's /v1/completions, read: chunks of text, then one with all counts.

A chunk holds the text of what one call of the generator's callback wrote: the token that a step
begins with, the accepted tokens of its draft, the target's own token after them. It does not say
how many tokens these are; only the last chunk counts, the whole answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runners.base.contract import Burst, Completion, RequestError
from runners.base.json_text import read_object, readable


@dataclass(frozen=True)
class Chunk:
    """One event of the stream."""

    text: str
    finish_reason: str | None
    closing: dict[str, Any] | None
    """The whole event, where it has the counts."""

    @classmethod
    def parse(cls, data: str) -> Chunk:
        body = read_object(data)
        with readable(data):
            choice = body["choices"][0]
            reason = choice.get("finish_reason")
            return cls(
                str(choice.get("text") or ""),
                None if reason is None else str(reason),
                body if "usage" in body else None,
            )


@dataclass(frozen=True)
class Drafts:
    """What one answer's drafts came to."""

    drafted: int = 0
    accepted: int = 0
    steps: int = 0
    per_position: tuple[int, ...] = ()
    disagreement: str | None = None


class Answer:
    """One answer as its chunks tell it."""

    def __init__(self, *, draft_tokens: int | None, temperature: float) -> None:
        """`draft_tokens`: what was asked for; None of plain decoding."""
        self._draft_tokens = draft_tokens
        self._temperature = temperature
        self._pieces: list[_Piece] = []
        self._closing: dict[str, Any] | None = None
        self._closed_at = 0.0
        self._finish_reason: str | None = None

    def add(self, at: float, chunk: Chunk) -> None:
        self._finish_reason = chunk.finish_reason or self._finish_reason
        if chunk.closing is not None:
            self._closing, self._closed_at = chunk.closing, at
        if not chunk.text:
            return
        # What came in one read cannot be told apart in time.
        if self._pieces and self._pieces[-1].at == at:
            self._pieces[-1] = self._pieces[-1].and_then(chunk.text)
        else:
            self._pieces.append(_Piece(at, chunk.text))

    def finish(self, sent_at: float) -> tuple[list[Burst], Completion, Drafts]:
        """The whole answer, once its stream has ended.

        Raises:
            RequestError: it is not all there, or not what was asked for.
        """
        if self._closing is None:
            raise RequestError("the stream ended without its counts", server_lost=True)
        with readable(self._closing):
            usage, timings = self._closing["usage"], self._closing["timings"]
            stats = dict(self._closing["mtplx_stats"])
            self._check(stats)
            tokens = int(usage["completion_tokens"])
            drafts = self._drafts(stats, tokens)
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            rate = float(timings["predicted_per_second"])
            return (
                self._bursts(tokens),
                Completion(
                    sent_at=sent_at,
                    output_tokens=tokens,
                    finish_reason=self._finish_reason,
                    prompt_tokens=int(usage["prompt_tokens"]),
                    cached_tokens=None if cached is None else int(cached),
                    prefill_s=float(timings["prompt_ms"]) / 1000,
                    decode_s=float(timings["predicted_ms"]) / 1000,
                    decode_rate=rate or None,
                    drafted=drafts.drafted,
                    accepted=drafts.accepted,
                    steps=drafts.steps,
                ),
                drafts,
            )

    def _check(self, stats: dict[str, Any]) -> None:
        """Refuse an answer that would be measured as what it is not."""
        if (stop := stats.get("memory_stop")) is not None:
            said = stop.get("message") if isinstance(stop, dict) else stop
            raise RequestError(f"mtplx ran out of memory: {str(said)[:300]}")
        if int(stats.get("attempts") or 1) > 1:
            raise RequestError(f"mtplx made the answer {stats['attempts']} times over")
        used = stats.get("effective_temperature")
        if used is not None and float(used) != self._temperature:
            raise RequestError(f"asked for temperature {self._temperature:g}, mtplx used {used}")

    def _drafts(self, stats: dict[str, Any], tokens: int) -> Drafts:
        if self._draft_tokens is None:
            return Drafts(steps=tokens)
        drafted, accepted = int(stats["drafted_tokens"]), int(stats["accepted_drafts"])
        # A pass yields what it accepts and a token of the target's own. The last verification may
        # be cut short of the latter; and at temperatures above 0 a rejection takes one more pass,
        # which is not among the verifications.
        steps = max(tokens - accepted, 1 + int(stats["verify_calls"]))
        by_depth = tuple(int(count) for count in stats.get("accepted_by_depth") or ())
        return Drafts(
            drafted,
            accepted,
            steps,
            by_depth,
            self._disagreement(stats, tokens, accepted, by_depth),
        )

    def _disagreement(
        self, stats: dict[str, Any], tokens: int, accepted: int, by_depth: tuple[int, ...]
    ) -> str | None:
        if by_depth and sum(by_depth) != accepted:
            return f"mtplx counts {accepted} accepted tokens, but {sum(by_depth)} by depth"
        if accepted >= max(1, tokens):
            return f"mtplx counts {accepted} accepted tokens in an answer of {tokens}"
        if int(stats.get("context_copy_drafted_tokens") or 0) > 0:
            return "mtplx drafted by looking up the text as well, which was switched off"
        depth = stats.get("mtp_depth")
        if depth is not None and int(depth) != self._draft_tokens:
            return f"asked for drafts of {self._draft_tokens} tokens, mtplx made them of {depth}"
        return None

    def _bursts(self, tokens: int) -> list[Burst]:
        """The pieces with their sizes; the sum is `tokens`."""
        pieces = self._pieces
        if self._finish_reason == "stop" and tokens > len(pieces):
            # The token that ends the text is counted, and has no chunk.
            pieces = [*pieces, _Piece(self._closed_at, "")]
        while len(pieces) > max(1, tokens):
            pieces = [*pieces[:-2], pieces[-2].and_then(pieces[-1].text)]
        if not pieces or tokens < 1:
            return []
        # The first comes of the prefill, which yields one token, and a text of no length is one.
        longest_draft = self._draft_tokens or 1
        most = [
            piece.chunks * longest_draft if at > 0 and piece.text else 1
            for at, piece in enumerate(pieces)
        ]
        counts = sizes([len(piece.text) for piece in pieces], most, tokens)
        return [
            Burst(piece.at, count, piece.text) for piece, count in zip(pieces, counts, strict=True)
        ]


@dataclass(frozen=True)
class _Piece:
    """Text that came in one read, and how many chunks it was."""

    at: float
    text: str
    chunks: int = 1

    def and_then(self, text: str) -> _Piece:
        return _Piece(self.at, self.text + text, self.chunks + 1)


def sizes(lengths: Sequence[int], most: Sequence[int], tokens: int) -> list[int]:
    """How many of `tokens` each text is taken for: at least one, and more for longer ones.

    `lengths` are in characters, `most` is what each text can be at most. What is then left over
    (characters that several tokens write together come late) is the last one's.
    """
    counts = [1] * len(lengths)
    left = tokens - len(lengths)
    # The next token goes to the text with the most characters to a token; of equals, the first.
    longest = [(-float(length), at) for at, length in enumerate(lengths) if most[at] > 1]
    heapq.heapify(longest)
    while left > 0 and longest:
        at = heapq.heappop(longest)[1]
        counts[at] += 1
        left -= 1
        if counts[at] < most[at]:
            heapq.heappush(longest, (-lengths[at] / counts[at], at))
    counts[-1] += max(0, left)
    return counts
