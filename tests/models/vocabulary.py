"""The tokenizer's file as data: what the packagings need of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.models.shape import SPECIAL_TOKENS


@dataclass(frozen=True)
class Vocabulary:
    """Texts of the tokens by id, and the pairs that are merged, first ones first."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS:
            raise ValueError("the special tokens are not the first ones")

    def reordered(self, order: tuple[int, ...]) -> Vocabulary:
        """The same texts, the one at `order[i]` under id i."""
        return Vocabulary(tuple(self.tokens[old] for old in order), self.merges)


def read_vocabulary(path: Path) -> Vocabulary:
    """From a tokenizer.json of byte-level BPE.

    Raises:
        ValueError: the special tokens are not the first ones.
    """
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return Vocabulary(tuple(tokens), tuple(" ".join(pair) for pair in model["merges"]))
