"""Ways of drafting tokens, by the names the whole project uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLAIN = "none"

METHODS: dict[str, str] = {
    PLAIN: "plain decoding: one token a step",
    "draft-model": "a second, smaller model of the same vocabulary drafts",
    "mtp": "the model's own multi-token-prediction heads draft",
    "eagle": "an EAGLE head drafts from the target's hidden states",
    "eagle3": "an EAGLE-3 head drafts from several of the target's layers",
    "medusa": "Medusa heads draft several positions at once",
    "dflash": "a block-diffusion draft model",
    "dspark": "a block-diffusion draft model with a Markov head",
    "suffix": "a suffix tree over the text so far and earlier answers",
    "ngram": "the last n tokens are looked up in the prompt (vLLM, MLX)",
    "ngram-simple": "the last n tokens are looked up in the text so far",
    "ngram-map-k": "like ngram-simple, through a hash map of n-grams",
    "ngram-map-k4v": "like ngram-map-k, keeping up to four continuations of each n-gram",
    "ngram-mod": "a hash pool of n-grams that is shared by all requests of a server",
    "ngram-cache": "n-gram statistics, gathered while generating",
}
"""Method name -> one line that says who makes the draft."""


@dataclass(frozen=True)
class Speculation:
    """How drafts are made: the method, the draft tokens a step (k) and the draft model, if any.

    `draft_tokens` is None for plain decoding, and only then.
    """

    method: str = PLAIN
    draft_tokens: int | None = None
    draft_model: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}")
        if (self.method == PLAIN) != (self.draft_tokens is None):
            raise ValueError("draft_tokens goes with every method but 'none'")
        if self.draft_tokens is not None and self.draft_tokens < 1:
            raise ValueError(f"draft_tokens must be at least 1, not {self.draft_tokens}")

    @property
    def is_plain(self) -> bool:
        return self.method == PLAIN


PLAIN_DECODING = Speculation()
