"""How fast a machine could decode at most: memory bandwidth over the bytes a token has to read.

Decoding one sequence reads every active weight once for each forward pass, and does two
arithmetic operations with it: the memory sets the pace long before the arithmetic does. The
argument is Williams, Waterman and Patterson's roofline (2009, doi:10.1145/1498765.1498785)
applied to decoding, as in Pope et al. 2022 (arXiv 2211.05102, section 2.1).

Sizes are bytes, bandwidths bytes per second, rates tokens per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.theory.step_cost import step_cost

CACHE_TYPE_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Bytes of one element of the KV cache by llama.cpp's cache type: a block holds 32 elements with
their scale (ggml, `block_q8_0` and its kin in ggml-common.h)."""


def decode_ceiling(
    bandwidth: float,
    active_bytes: float,
    kv_bytes_per_token: float,
    depth: float,
    *,
    tau: float = 1.0,
    draft_tokens: int = 0,
    draft_active_bytes: float = 0.0,
) -> float:
    """The decode rate at which the memory would be read without a pause, in tokens/s.

        tau x bandwidth / (active + KV per token x depth + draft tokens x draft's active)

    A step reads the weights and the cache once however many tokens it verifies, and each draft
    token costs one pass of the drafter. Per step `tau` tokens come out. With tau 1 and no
    drafter this is plain decoding. The divisor is the memory part of the cost model of Leviathan
    et al. 2023 (arXiv 2211.17192, section 3.3: gamma x c + 1 passes for each step).

    Args:
        bandwidth: bytes/s.
        active_bytes: weights that one forward pass of the target reads.
        kv_bytes_per_token: keys and values kept for one token of context.
        depth: tokens in the context, the prompt's and those generated so far (their mean over an
            answer gives the answer's ceiling to first order).
        tau: acceptance length, tokens per step, at least 1.
        draft_tokens: tokens drafted for each step.
        draft_active_bytes: weights that drafting one token reads; 0 for n-gram lookups.

    Raises:
        ValueError: a size or rate that is negative or not finite, nothing to read, tau below 1,
            or tau above `draft_tokens` + 1 where draft tokens are given.
    """
    _check_positive(bandwidth=bandwidth)
    _check_not_negative(
        active_bytes=active_bytes,
        kv_bytes_per_token=kv_bytes_per_token,
        depth=depth,
        draft_tokens=draft_tokens,
        draft_active_bytes=draft_active_bytes,
    )
    if not (math.isfinite(tau) and tau >= 1):
        raise ValueError(f"a step yields at least 1 token, tau is {tau}")
    if draft_tokens and tau > draft_tokens + 1:
        raise ValueError(f"{draft_tokens} draft tokens cannot yield {tau} tokens per step")
    step_bytes = active_bytes + kv_bytes_per_token * depth + draft_tokens * draft_active_bytes
    _check_positive(bytes_per_step=step_bytes)
    return tau * bandwidth / step_bytes


@dataclass(frozen=True)
class Reads:
    """Bytes that one pass over one token reads at one depth. Sizes in bytes."""

    active_bytes: float
    """Weights of one token; of routed experts the chosen ones."""
    kv_bytes: float = 0.0
    """Keys and values of the whole context, read once however many rows a pass has."""
    draft_bytes: float = 0.0
    """Everything that drafting one token reads; 0 for lookups in the text."""
    block_bytes: float = 0.0
    """What a drafter of whole blocks reads for a draft, however long it is."""
    expert_bytes: float = 0.0
    """All routed experts together; 0: dense."""
    experts: int = 1
    experts_used: int = 1

    def of_pass(self, rows: int) -> float:
        """Bytes of one pass over `rows` tokens: of a mixture of experts, in expectation."""
        weights = self.active_bytes
        if self.expert_bytes and rows > 1:
            weights = verified_active_bytes(
                self.active_bytes, self.expert_bytes, self.experts, self.experts_used, rows
            )
        return weights + self.kv_bytes

    def of_step(self, draft_tokens: int) -> float:
        """Bytes of a step: the verification of k + 1 rows, and k drafts."""
        return self.of_pass(draft_tokens + 1) + self.of_draft(draft_tokens)

    def of_draft(self, draft_tokens: int) -> float:
        """Bytes that drafting k tokens reads."""
        return draft_tokens * self.draft_bytes + (self.block_bytes if draft_tokens else 0)


def speculative_ceiling(
    bandwidth: float,
    reads: Reads,
    tau: float,
    draft_tokens: int,
    *,
    verify_cost: float = 0.0,
    draft_cost: float = 0.0,
) -> float:
    """The decode rate that speculating with k draft tokens allows, in tokens/s.

        tau / (max(bytes of the verification / bandwidth, plain step x (1 + k x c))
               + max(bytes of the draft / bandwidth, plain step x k x d))

    With both costs 0 it is the memory's bound alone, tau x bandwidth / (bytes of k + 1 rows + k x
    draft bytes); with tau 1 and k 0 it is plain's. A cost that was measured holds the bytes that
    the rows and drafts read, so that each part takes the larger of the two and never their sum.

    Args:
        bandwidth: bytes/s.
        reads: what passes and drafts read.
        tau: tokens per step, 1 to k + 1.
        draft_tokens: k.
        verify_cost: c, of each row more, in plain steps (`step_cost`).
        draft_cost: d, of each draft, in plain steps.

    Raises:
        ValueError: a size or rate that is negative or not finite, nothing to read, or a tau that
            k draft tokens cannot yield.
    """
    _check_positive(bandwidth=bandwidth)
    _check_not_negative(
        active_bytes=reads.active_bytes,
        kv_bytes=reads.kv_bytes,
        draft_bytes=reads.draft_bytes,
        block_bytes=reads.block_bytes,
        expert_bytes=reads.expert_bytes,
    )
    _check_positive(bytes_per_step=reads.of_pass(1))
    if not 1 <= tau <= draft_tokens + 1:
        raise ValueError(f"{draft_tokens} draft tokens yield 1 to {draft_tokens + 1}, not {tau}")
    plain = reads.of_pass(1) / bandwidth
    verifying = max(
        reads.of_pass(draft_tokens + 1) / bandwidth,
        plain * step_cost(draft_tokens, verify_cost=verify_cost),
    )
    drafting = max(
        reads.of_draft(draft_tokens) / bandwidth,
        plain * (step_cost(draft_tokens, draft_cost=draft_cost) - 1),
    )
    return tau / (verifying + drafting)


def utilisation(rate: float, ceiling: float) -> float:
    """The share of the ceiling that a measured rate reaches (MBU), 1.0 being all of it.

    Equals rate x bytes per token / bandwidth, the 'model bandwidth utilization' of Databricks
    ("LLM Inference Performance Engineering: Best Practices", 2023). Above 1 the model, the
    measurement or the bandwidth is wrong, or the weights stay in a cache.

    Raises:
        ValueError: a negative rate, a ceiling that is not positive, or one that is not finite.
    """
    _check_not_negative(rate=rate)
    _check_positive(ceiling=ceiling)
    return rate / ceiling


def kv_bytes_as(f16_bytes: float, key_type: str = "f16", value_type: str = "f16") -> float:
    """KV bytes per token under other cache types, from those at F16.

    Exact where keys and values are equally long, as in almost all models; elsewhere a mean.

    Raises:
        ValueError: an unknown cache type, or negative bytes.
    """
    _check_not_negative(f16_bytes=f16_bytes)
    for name in (key_type, value_type):
        if name not in CACHE_TYPE_BYTES:
            known = ", ".join(CACHE_TYPE_BYTES)
            raise ValueError(f"unknown KV cache type {name!r}; known are {known}")
    pair = CACHE_TYPE_BYTES[key_type] + CACHE_TYPE_BYTES[value_type]
    return f16_bytes * pair / (2 * CACHE_TYPE_BYTES["f16"])


def expected_experts(experts: int, used: int, rows: float) -> float:
    """Distinct experts that `rows` tokens of one pass need, were the routing uniform.

        experts x (1 - (1 - used / experts)^rows)

    Each expert is missed by one token with probability 1 - used / experts, and the tokens choose
    independently. Real neighbours in a text choose alike, so the true number is lower.

    Raises:
        ValueError: unless 0 < used <= experts and rows >= 0.
    """
    if not 0 < used <= experts:
        raise ValueError(f"of {experts} experts, {used} cannot be used")
    _check_not_negative(rows=rows)
    return experts * (1 - math.pow(1 - used / experts, rows))


def verified_active_bytes(
    active_bytes: float, expert_bytes: float, experts: int, used: int, rows: float
) -> float:
    """Weights that one pass over `rows` tokens of a mixture of experts reads, in expectation.

    `active_bytes` are those of one token, `expert_bytes` those of all routed experts; equal to
    `active_bytes` for one row. Verifying k draft tokens is a pass over k + 1 rows; `rows` may be
    a mean over several passes.

    Raises:
        ValueError: as `expected_experts`, negative bytes, or no row at all.
    """
    _check_not_negative(active_bytes=active_bytes, expert_bytes=expert_bytes)
    if rows < 1:
        raise ValueError(f"a pass has at least 1 row, not {rows}")
    more = expected_experts(experts, used, rows) - used
    return active_bytes + expert_bytes * more / experts


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive, not {value}")


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must not be negative, nor endless: {value}")
