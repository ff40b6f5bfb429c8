"""Whether one model may draft for another: nobody else looks before the first wrong token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

MOST_DIFFERENCE = 128
"""Tokens that one vocabulary may have and the other lack; llama.cpp's rule too."""

Text = TypeVar("Text", str, bytes)


def difference(
    target: Mapping[Text, int], draft: Mapping[Text, int], draft_rows: int | None = None
) -> str | None:
    """How the draft's vocabulary (text -> id) differs; None where it may draft for the target.

    `draft_rows`: tokens that the draft has embeddings of; None: not known.
    """
    if target == draft:
        return None
    ours = {token: text for text, token in target.items()}
    theirs = {token: text for text, token in draft.items()}
    for token in sorted(ours.keys() & theirs.keys()):
        if ours[token] != theirs[token]:
            return f"token {token} is {theirs[token]!r:.40}, the target's {ours[token]!r:.40}"
    if len(ours.keys() ^ theirs.keys()) > MOST_DIFFERENCE:
        return (
            f"it has {len(theirs):,} tokens, the target {len(ours):,}: "
            f"more than {MOST_DIFFERENCE} apart"
        )
    if draft_rows is not None and max(ours, default=-1) >= draft_rows:
        return f"it has embeddings of {draft_rows:,} tokens, the target's ids go to {max(ours):,}"
    return None
