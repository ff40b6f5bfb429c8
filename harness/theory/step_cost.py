"""What a speculative step costs beside a plain one, and what it must yield to pay.

Times are in plain steps: 1 is what decoding one token takes. A step that verifies k draft tokens
passes k + 1 rows through the target; the first row costs a plain step, and

    step cost = 1 + k x (c + d)

with c the verification of one row more and d the drafting of one token. Leviathan, Kalman and
Matias 2023 (arXiv 2211.17192, section 3.3 and theorem 3.8) have d alone (their c) and take rows to
be free; on real hardware they are not, and c decides whether speculation pays. All functions
raise ValueError for a cost that is negative or not finite, and for a negative k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.theory.acceptance import alpha_of_tau


def step_cost(draft_tokens: int, verify_cost: float = 0.0, draft_cost: float = 0.0) -> float:
    """Time of a speculative step, in plain steps: 1 + k x (c + d)."""
    if draft_tokens < 0:
        raise ValueError(f"draft tokens are 0 or more, not {draft_tokens}")
    for name, cost in (("verify", verify_cost), ("draft", draft_cost)):
        if not (math.isfinite(cost) and cost >= 0):
            raise ValueError(f"a {name} cost is 0 or more plain steps, not {cost}")
    return 1 + draft_tokens * (verify_cost + draft_cost)


def speedup(
    tau: float, draft_tokens: int, verify_cost: float = 0.0, draft_cost: float = 0.0
) -> float:
    """Decode rate over plain's: tau / step cost.

    Leviathan et al. 2023, theorem 3.8, with the cost of verifying added.

    Raises:
        ValueError: also a tau that `draft_tokens` cannot yield.
    """
    if not 1 <= tau <= draft_tokens + 1:
        raise ValueError(f"{draft_tokens} draft tokens yield 1 to {draft_tokens + 1}, not {tau}")
    return tau / step_cost(draft_tokens, verify_cost, draft_cost)


def break_even_tau(draft_tokens: int, verify_cost: float = 0.0, draft_cost: float = 0.0) -> float:
    """The acceptance length at which a step is worth its time; below it plain is faster.

    May lie above k + 1, which no drafter yields.
    """
    return step_cost(draft_tokens, verify_cost, draft_cost)


def break_even_alpha(
    draft_tokens: int, verify_cost: float = 0.0, draft_cost: float = 0.0
) -> float | None:
    """The geometric acceptance at which a step is worth its time; None: no acceptance is enough.

    Raises:
        ValueError: also without a draft token.
    """
    tau = break_even_tau(draft_tokens, verify_cost, draft_cost)
    return None if tau > draft_tokens + 1 else alpha_of_tau(tau, draft_tokens)


def best_draft_tokens(
    taus: Sequence[float], verify_cost: float = 0.0, draft_cost: float = 0.0
) -> int:
    """The k that is fastest; 0 where plain decoding is. `taus` are those of k = 1, 2, 3, ...

    Of equally fast ones the shortest. Leviathan et al. 2023, section 3.5, choose their gamma so.
    """
    best, fastest = 0, 1.0
    for draft_tokens, tau in enumerate(taus, start=1):
        found = speedup(tau, draft_tokens, verify_cost, draft_cost)
        if found > fastest:
            best, fastest = draft_tokens, found
    return best


def cost_of_speedup(measured: float, tau: float, draft_tokens: int) -> float:
    """c + d, from one measured speed-up: the inverse of `speedup`.

    Negative where the measurement is faster than free drafts could be: then tau or plain's rate
    belongs to something else.

    Raises:
        ValueError: a speed-up that is not positive, or no draft token.
    """
    if not (math.isfinite(measured) and measured > 0):
        raise ValueError(f"a speed-up is positive, not {measured}")
    if draft_tokens < 1:
        raise ValueError("without draft tokens there is no cost of drafting or verifying")
    return (tau / measured - 1) / draft_tokens


def cost_of_pass(plain_steps: float, rows: int) -> float:
    """c, from the time of one pass over `rows` rows, in plain steps.

    Raises:
        ValueError: fewer than 2 rows.
    """
    if rows < 2:
        raise ValueError(f"a verification has at least 2 rows, not {rows}")
    return (plain_steps - 1) / (rows - 1)
