"""Ways of drafting tokens, by the names the whole project uses."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

PLAIN = "none"
AS_SERVED = "as-served"
"""Of a server that somebody else has started: drafts are made, or not, as it was told then."""

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
    "ngram": "the last n tokens or fewer are looked up in the text so far (vLLM, and others)",
    "ngram-simple": "the last n tokens are looked up in the text so far",
    "ngram-map-k": "like ngram-simple, through a hash map of n-grams",
    "ngram-map-k4v": "like ngram-map-k, keeping up to four continuations of each n-gram",
    "ngram-mod": "a hash pool of n-grams that is shared by all requests of a server",
    "ngram-cache": "n-gram statistics, gathered while generating",
}
"""Method name -> one line that says who makes the draft."""

WITH_DRAFT = ("draft-model", "eagle", "eagle3", "medusa", "dflash", "dspark")
"""Methods that cannot do without a draft model's file."""

LONGEST_CHAIN = 2


def parts_of(method: str) -> tuple[str, ...]:
    """The methods of a chain in the order in which they are asked for a draft: n-grams first.

    'mtp+ngram-mod' -> ('ngram-mod', 'mtp'): a lookup costs nothing, and where it finds nothing the
    model drafts.

    Raises:
        ValueError: an unknown method, the same one twice, plain decoding in a chain, too long.
    """
    parts = tuple(method.split("+"))
    if parts == (AS_SERVED,):
        return parts
    for part in parts:
        if part not in METHODS:
            raise ValueError(f"unknown method {part!r}")
    if len(parts) > 1 and PLAIN in parts:
        raise ValueError(f"{PLAIN!r} is plain decoding: it cannot stand in a chain")
    if len(set(parts)) < len(parts):
        raise ValueError(f"the chain {method!r} names a method twice")
    if len(parts) > LONGEST_CHAIN:
        raise ValueError(f"the chain {method!r} is longer than {LONGEST_CHAIN} methods")
    return tuple(sorted(parts, key=lambda part: not part.startswith("ngram")))


@dataclass(frozen=True)
class SyntheticAcceptance:
    """Drafts are accepted by a seeded draw instead of by what the target says: the text is void.

    Drafting and verifying really run, so it measures the machine apart from the drafter. Either a
    mean length or rates.
    """

    length: float | None = None
    """Mean tokens a step, the target's own included: 1 (nothing accepted) to draft_tokens + 1."""
    rates: tuple[float, ...] = ()
    """How often the draft's token 0, 1, … is accepted, whatever came of the ones before: in
    [0, 1] and never increasing."""

    def __post_init__(self) -> None:
        if (self.length is None) == (not self.rates):
            raise ValueError("synthetic acceptance is either a mean length or rates")
        if self.length is not None and not (math.isfinite(self.length) and self.length >= 1):
            raise ValueError(f"a synthetic acceptance length is at least 1, not {self.length:g}")
        if not all(0 <= rate <= 1 for rate in self.rates):
            raise ValueError("synthetic acceptance rates lie between 0 and 1")
        if any(later > earlier for earlier, later in itertools.pairwise(self.rates)):
            raise ValueError("synthetic acceptance rates cannot increase from token to token")

    def reason_against(self, draft_tokens: int) -> str | None:
        """Why it cannot be had with drafts of this length; None where it can."""
        if self.length is not None and self.length > draft_tokens + 1:
            return (
                f"a mean of {self.length:g} tokens a step cannot come of {draft_tokens} draft "
                f"tokens: at most {draft_tokens + 1}"
            )
        if self.rates and len(self.rates) < draft_tokens:
            return f"{len(self.rates)} synthetic rates are too few for {draft_tokens} draft tokens"
        return None

    def rates_for(self, draft_tokens: int) -> tuple[float, ...]:
        """The rates of the first `draft_tokens` positions."""
        return self.rates[:draft_tokens]

    @property
    def label(self) -> str:
        """'τ=2.5' or 'rates 0.9/0.6'."""
        if self.length is not None:
            return f"τ={self.length:g}"
        return f"rates {'/'.join(f'{rate:g}' for rate in self.rates)}"


@dataclass(frozen=True)
class Speculation:
    """How drafts are made: the method, the draft tokens a step (k) and the draft model, if any.

    `method` is a name of `METHODS`, two of them joined by '+' (a chain), or `AS_SERVED`.
    `draft_tokens` is None for plain decoding and as served, and only then.
    """

    method: str = PLAIN
    draft_tokens: int | None = None
    draft_model: Path | None = None
    synthetic: SyntheticAcceptance | None = None

    def __post_init__(self) -> None:
        parts_of(self.method)
        if (self.method in (PLAIN, AS_SERVED)) != (self.draft_tokens is None):
            raise ValueError("draft_tokens goes with every method but 'none' and 'as-served'")
        if self.draft_tokens is not None and self.draft_tokens < 1:
            raise ValueError(f"draft_tokens must be at least 1, not {self.draft_tokens}")
        if self.synthetic is not None:
            if self.draft_tokens is None:
                raise ValueError("plain decoding accepts nothing, synthetic or not")
            if (reason := self.synthetic.reason_against(self.draft_tokens)) is not None:
                raise ValueError(reason)

    @property
    def is_plain(self) -> bool:
        return self.method == PLAIN

    @property
    def parts(self) -> tuple[str, ...]:
        """The methods of the chain, in the order in which they are asked; one without a chain."""
        return parts_of(self.method)


PLAIN_DECODING = Speculation()
