"""Tokens of an answer of which only the total is told, put to the chunks that they came in."""

from __future__ import annotations

from collections.abc import Sequence


def spread(texts: Sequence[str], tokens: int) -> tuple[int, ...]:
    """How many of the `tokens` each chunk is taken to hold; the sum is `tokens`.

    One each where there are as many chunks as tokens. Otherwise by length of text, at least one in
    the first chunk: chunks of a runner can hold several tokens, and parts of one.

    Raises:
        ValueError: tokens without a chunk.
    """
    if not texts:
        if tokens:
            raise ValueError(f"{tokens} tokens came in no chunk")
        return ()
    if len(texts) == tokens:
        return (1,) * tokens
    whole = sum(map(len, texts))
    if not whole:
        return (tokens, *(0 for _ in texts[1:]))
    shares, seen, given = [], 0, 0
    for text in texts:
        seen += len(text)
        # To the nearest, halves up; so far, so that roundings do not add up.
        until = max((2 * tokens * seen + whole) // (2 * whole), min(tokens, 1))
        shares.append(until - given)
        given = until
    return tuple(shares)


def most_in_first(chunks: int, tokens: int) -> int | None:
    """The most tokens that the first of the chunks can hold; None where each holds one.

    Every other chunk is taken to hold at least one, as far as they go round.
    """
    return None if chunks == tokens else max(1, tokens - chunks + 1)
