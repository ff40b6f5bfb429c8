"""The bytes that each token stands for, so that steps can be put together to text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def pieces_of(
    vocabulary: Mapping[bytes, int], decode: Callable[[list[list[int]]], Sequence[str]]
) -> dict[int, bytes]:
    """Token -> bytes; none of the tokens that a decoder leaves out, such as the end of text.

    `decode` is the tokenizer's, of several texts at once.
    """
    ids = sorted(vocabulary.values())
    shown = dict(zip(ids, decode([[token] for token in ids]), strict=True))
    pieces = {}
    for piece, token in vocabulary.items():
        # A part of a character is not shown alone either, and is no text by itself.
        hidden = not shown[token] and piece.decode(errors="ignore").encode() == piece
        pieces[token] = b"" if hidden and piece.strip() else piece
    return pieces
