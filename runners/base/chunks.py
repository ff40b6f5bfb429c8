"""Tokens of an answer of which only the total is told, put to the chunks that they came in."""

from __future__ import annotations

from collections.abc import Sequence


def spread(texts: Sequence[str], tokens: int) -> tuple[int, ...]:
    """How many of the `tokens` each chunk is taken to hold; the sum is `tokens`.

    One in each chunk as far as they go round, and the first is never without; what is left over
    goes by length of text. Chunks of a runner can hold several tokens, and parts of one.

    Raises:
        ValueError: tokens without a chunk.
    """
    if not texts:
        if tokens:
            raise ValueError(f"{tokens} tokens came in no chunk")
        return ()
    if (over := tokens - len(texts)) >= 0:
        return tuple(1 + share for share in _by_length(texts, over))
    first = min(tokens, 1)
    return (first, *_by_length(texts[1:], tokens - first))


def _by_length(texts: Sequence[str], tokens: int) -> list[int]:
    lengths = [len(text) for text in texts] if any(texts) else [1] * len(texts)
    whole, seen, given, shares = sum(lengths), 0, 0, []
    for length in lengths:
        seen += length
        # To the nearest, halves up; of all so far, so that roundings do not add up.
        until = (2 * tokens * seen + whole) // (2 * whole)
        shares.append(until - given)
        given = until
    return shares


def most_in_first(chunks: int, tokens: int) -> int | None:
    """The most tokens that the first of the chunks can hold; None where each holds one.

    Every other chunk is taken to hold at least one, as far as they go round.
    """
    return None if chunks == tokens else max(1, tokens - chunks + 1)
