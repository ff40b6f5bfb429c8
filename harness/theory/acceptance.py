"""Arithmetic of accepted draft tokens.

Two means of the accepted length are in use, and they differ: over steps (what servers count) and
over requests (a short answer then weighs as much as a long one). Here it is the one over steps.
"""

from __future__ import annotations


def acceptance_rate(accepted: int, drafted: int) -> float | None:
    """Accepted over drafted tokens, in [0, 1]; None where nothing was drafted.

    Raises:
        ValueError: negative counts, or more accepted than drafted.
    """
    if not 0 <= accepted <= drafted:
        raise ValueError(f"{accepted} of {drafted} drafted tokens cannot be accepted")
    return accepted / drafted if drafted else None


def acceptance_length(tokens: int, steps: int) -> float | None:
    """Tau, step-weighted: output tokens per step of the target; None where there was no step.

    Sums over several requests give the mean over all their steps. The target's own token of each
    step is among `tokens`, so that plain decoding has tau 1.

    Raises:
        ValueError: negative counts, or tokens without a step.
    """
    if tokens < 0 or steps < 0 or (tokens and not steps):
        raise ValueError(f"{tokens} tokens in {steps} steps are no counts of a decoding")
    return tokens / steps if steps else None


def expected_length(alpha: float, k: int) -> float:
    """Expected tokens of a step with `k` draft tokens, each accepted with probability `alpha`.

        (1 - alpha^(k + 1)) / (1 - alpha),  k + 1 for alpha 1

    Leviathan et al. 2023 (arXiv 2211.17192), equation 1, which takes the acceptances as
    independent and alike at every position. Measured ones mostly fall with the position.

    Raises:
        ValueError: alpha outside [0, 1], or a negative k.
    """
    if not 0 <= alpha <= 1 or k < 0:
        raise ValueError(f"no expected length for alpha {alpha} and k {k}")
    # Horner's form of 1 + alpha + ... + alpha^k: the quotient loses its digits near alpha 1.
    length = 1.0
    for _ in range(k):
        length = 1 + alpha * length
    return length
