"""Whether the tokens of two model folders are the same, by their tokenizer.json.

The file may have 20 MB, so it is read only when two folders are compared. vLLM itself compares
sizes alone: a draft of other tokens would draft, and nothing of it be accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.models.errors import printable, reading
from harness.models.safetensors import read_json

TOKENIZER = "tokenizer.json"
MOST_DIFFERENCE = 128
"""Ids that only one of two vocabularies may have; llama.cpp's rule for sizes."""
LONGEST_SHOWN = 24
"""Characters of a token's text in a message."""


@dataclass(frozen=True)
class Tokens:
    """Texts by id."""

    texts: Mapping[int, str]
    added: frozenset[int]
    """Ids of marks such as '<|im_end|>', which are not made of text."""


def tokens_of(path: Path) -> Tokens | None:
    """What a tokenizer.json says; None where that is not understood.

    Raises:
        ModelFileError: it cannot be read.
    """
    with reading(path):
        content = read_json(path)
    if not isinstance(content, dict):
        return None
    model, marks = content.get("model"), content.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):  # BPE and WordPiece: text -> id
        texts = {token: text for text, token in vocabulary.items() if isinstance(token, int)}
    elif isinstance(vocabulary, list):  # Unigram: [text, score], the id is the place
        texts = {
            token: entry[0]
            for token, entry in enumerate(vocabulary)
            if isinstance(entry, list) and entry and isinstance(entry[0], str)
        }
    else:
        return None
    added = {
        mark["id"]: mark["content"]
        for mark in (marks if isinstance(marks, list) else ())
        if isinstance(mark, dict)
        and isinstance(mark.get("id"), int)
        and isinstance(mark.get("content"), str)
    }
    return Tokens(texts | added, frozenset(added))


def token_difference(target: Path, draft: Path) -> str | None:
    """How the draft's tokens differ from the target's; None where they do not, or nobody can tell.

    Marks may have other texts: models of one family give the ids after the last token to marks
    of their own, and draft for one another all the same.

    Raises:
        ModelFileError: a file cannot be read.
    """
    ours, theirs = tokens_of(target), tokens_of(draft)
    if ours is None or theirs is None or ours.texts == theirs.texts:
        return None
    marks = ours.added & theirs.added
    for token in sorted(ours.texts.keys() & theirs.texts.keys()):
        if token not in marks and ours.texts[token] != theirs.texts[token]:
            return (
                f"token {token} is {shown_text(theirs.texts[token])}, "
                f"the target's {shown_text(ours.texts[token])}"
            )
    if len(ours.texts.keys() ^ theirs.texts.keys()) > MOST_DIFFERENCE:
        return (
            f"it has {len(theirs.texts):,} tokens, the target {len(ours.texts):,}: "
            f"more than {MOST_DIFFERENCE} apart"
        )
    return None


def shown_text(text: str) -> str:
    """A token's text for a message of one line, with what a terminal acts on written out."""
    cut = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
    return f"'{printable(cut)}'"
