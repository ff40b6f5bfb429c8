"""How many tokens a step yields, from how often draft tokens are accepted, and back.

The geometric model takes every draft token to be accepted with the same probability alpha, given
that those before it were: Leviathan, Kalman and Matias 2023, 'Fast Inference from Transformers
via Speculative Decoding' (arXiv 2211.17192), section 3.1. Real drafters grow worse along the
draft; rates by position hold for them, and need no model at all.

Rates by position are shares of all steps, as runners report them: rate i says in how many of the
steps the i-th draft token was accepted, so they never rise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

HALVINGS = 60
"""Of the interval in which an acceptance is looked for: what is left is below rounding."""


def expected_tau(alpha: float, draft_tokens: int) -> float:
    """Tokens that a step yields in expectation, the target's own included.

        (1 - alpha^(k+1)) / (1 - alpha) = 1 + alpha + ... + alpha^k

    Leviathan et al. 2023 (arXiv 2211.17192), equation (1), with k for their gamma. Summed up, which
    is as exact near alpha 1 (where the quotient loses its digits) as at its limit k + 1.

    Raises:
        ValueError: alpha outside 0 to 1, or fewer than 0 draft tokens.
    """
    return tau_of_rates(geometric_rates(alpha, draft_tokens))


def geometric_rates(alpha: float, draft_tokens: int) -> tuple[float, ...]:
    """Rates by position of the geometric model: alpha, alpha^2, ..., alpha^k.

    Raises:
        ValueError: as `expected_tau`.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"an acceptance is a share from 0 to 1, not {alpha}")
    _check_draft_tokens(draft_tokens)
    return tuple(alpha**position for position in range(1, draft_tokens + 1))


def tau_of_rates(rates: Sequence[float]) -> float:
    """Tokens that a step yields in expectation: 1 + the sum of the rates by position.

    A sum of expectations, exact for any drafter (the i-th rate is the probability that a step
    yields more than i tokens).

    Raises:
        ValueError: a rate outside 0 to 1, or one above the rate before it.
    """
    before = 1.0
    for rate in rates:
        if not 0 <= rate <= 1:
            raise ValueError(f"an acceptance is a share from 0 to 1, not {rate}")
        if rate > before:
            raise ValueError(
                f"rates by position never rise, since a token is accepted only after those before "
                f"it: {rate:g} follows {before:g}"
            )
        before = rate
    return 1 + math.fsum(rates)


def rates_of_taus(taus: Sequence[float]) -> tuple[float, ...]:
    """Rates by position from the acceptance lengths measured with k = 1, 2, 3, ...

    Each further draft token adds its own rate: rate k = tau(k) - tau(k-1), with tau(0) = 1. It
    holds as far as a longer draft does not change how its beginning is accepted.

    Raises:
        ValueError: lengths that no drafter can have.
    """
    # Differences of rounded numbers: equal ones must not rise by a last digit.
    rates = tuple(round(tau - before, 9) for tau, before in zip(taus, (1.0, *taus), strict=False))
    tau_of_rates(rates)
    return rates


def alpha_of_tau(tau: float, draft_tokens: int) -> float:
    """The alpha at which `draft_tokens` yield `tau` tokens a step: the inverse of `expected_tau`.

    Found by halving, since `expected_tau` rises with alpha: from 1 at alpha 0 to k + 1 at alpha 1.

    Raises:
        ValueError: no draft token, or a tau that so many cannot yield.
    """
    _check_draft_tokens(draft_tokens)
    if draft_tokens == 0:
        raise ValueError("without draft tokens nothing is accepted")
    if not 1 <= tau <= draft_tokens + 1:
        raise ValueError(f"{draft_tokens} draft tokens yield 1 to {draft_tokens + 1}, not {tau}")
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if expected_tau(middle, draft_tokens) < tau:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _check_draft_tokens(draft_tokens: int) -> None:
    if draft_tokens < 0:
        raise ValueError(f"draft tokens are 0 or more, not {draft_tokens}")
