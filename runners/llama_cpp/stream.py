"""The events of llama.cpp's /completion stream, put together to bursts of one step each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runners.base.contract import Burst, Completion
from runners.base.json_text import read_object, readable


@dataclass(frozen=True)
class Piece:
    """One event of a /completion stream."""

    content: str
    tokens: tuple[int, ...]
    generated: int
    """Tokens so far, with those that the server holds back until they make whole characters."""
    predicted_ms: float
    """Time of the step that made it: the same for all tokens of a step."""
    stop: bool
    body: dict[str, Any]

    @classmethod
    def parse(cls, data: str) -> Piece:
        body = read_object(data)
        with readable(data):
            timings = body["timings"]
            return cls(
                content=str(body["content"]),
                tokens=tuple(int(token) for token in body["tokens"]),
                generated=int(timings["predicted_n"]),
                predicted_ms=float(timings["predicted_ms"]),
                stop=bool(body["stop"]),
                body=body,
            )

    def completion(self, sent_at: float, steps: int | None, undelivered: int = 0) -> Completion:
        """Of the closing event: what the server says of the whole request.

        `undelivered` tokens of the last step were counted by the server and never sent.
        """
        with readable(self.body):
            timings = self.body["timings"]
            reasons = {"eos": "stop", "word": "stop", "limit": "length"}
            said = str(self.body.get("stop_type"))
            # Builds of 2025 do not tell.
            cached = int(timings["cache_n"]) if "cache_n" in timings else None
            # Both are left out when nothing was drafted, and only then.
            accepted = int(timings.get("draft_n_accepted", 0))
            return Completion(
                sent_at=sent_at,
                output_tokens=self.generated - undelivered,
                finish_reason=reasons.get(said, said),
                prompt_tokens=int(timings["prompt_n"]) + (cached or 0),
                cached_tokens=cached,
                prefill_s=float(timings["prompt_ms"]) / 1000,
                decode_s=self.predicted_ms / 1000,
                decode_rate=float(timings["predicted_per_second"]) or None,
                drafted=int(timings.get("draft_n", 0)),
                accepted=accepted,
                # Every step yields its accepted tokens and one of its own.
                steps=self.generated - accepted if steps is None else steps,
            )


class Bursts:
    """Puts the events of one step together: its tokens come as events that tell the same time."""

    def __init__(self) -> None:
        self._step: list[tuple[float, int, Piece]] = []
        self._counted = 0
        self._bursts = 0
        self._held_back = False
        self._counts_ahead = False
        self.undelivered = 0
        """Tokens beyond the limit that an older build counts and does not send."""

    @property
    def steps(self) -> int | None:
        """None where tokens were held back, so that the bursts are not the steps."""
        return None if self._held_back else self._bursts

    def add(self, at: float, piece: Piece) -> Burst | None:
        """The burst of the step before, once an event of the next step shows that it is whole."""
        new = piece.generated - self._counted
        # Builds before June 2026 count all tokens of a step in its first event already.
        ahead = not new and bool(self._step) and bool(piece.tokens) and not piece.stop
        self._counts_ahead |= ahead
        if not new and not ahead:
            return None
        self._counted = piece.generated
        done = None
        if self._step and self._step[0][2].predicted_ms != piece.predicted_ms:
            done = self.close()
        self._step.append((at, new, piece))
        return done

    def close(self) -> Burst | None:
        """The burst of the last step, whole or cut at the limit."""
        if not self._step:
            return None
        burst = self._burst()
        self._step = []
        return burst

    def _burst(self) -> Burst:
        self._bursts += 1
        ids = tuple(token for _, _, piece in self._step for token in piece.tokens)
        count = sum(new for _, new, _ in self._step)
        if self._counts_ahead and 0 < len(ids) < count:
            # Such a build looks at the limit after each token that it sends, of a step that it
            # has counted whole.
            self.undelivered += count - len(ids)
            count = len(ids)
        self._held_back |= len(ids) != count
        return Burst(
            at=self._step[0][0],
            tokens=count,
            text="".join(piece.content for _, _, piece in self._step),
            token_ids=ids if len(ids) == count else None,
        )
