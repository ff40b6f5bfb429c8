"""What a step with drafts takes on other hardware, in plain steps: the cheapest and the dearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.prediction.costs import Cost
from harness.prediction.shares import Share
from harness.theory.ceiling import Reads, verified_active_bytes


@dataclass(frozen=True)
class Machine:
    """Where the model is to run."""

    bandwidth: float
    """Bytes/s."""
    share: Share
    costs: tuple[Cost, ...]
    draft_cost: float | None = None
    """Plain steps for drafting one token, where it is given."""
    drafts_apart: bool = True
    """By a model of its own; False: by heads of the target, which published costs hold."""

    def plain_ceiling(self, reads: Reads) -> float:
        return self.bandwidth / reads.of_pass(1)


def step_bytes(reads: Reads, drafted: float) -> float:
    """Bytes of a step that drafts so many tokens on average."""
    return _pass_bytes(reads, 1 + drafted) + _draft_bytes(reads, drafted)


def step_times(machine: Machine, reads: Reads, drafted: Sequence[float]) -> list[list[float]]:
    """Plain steps of a step with each number of drafted tokens, by every line that is known.

    Verification takes what the line says, or the time of its bytes if that is longer. A draft's
    pass takes at least the time of its bytes; that of a model of its own at most as many times as
    long as its ceiling is above the published ones, where it runs into what a step costs beside
    reading.
    """
    return [
        [_step_time(reads, cost, draft_cost, count) for count in drafted]
        for cost in machine.costs
        for draft_cost in _draft_costs(machine, reads, cost)
    ]


def _step_time(reads: Reads, cost: Cost, draft_cost: float, drafted: float) -> float:
    has_drafter = reads.draft_bytes > 0 or reads.block_bytes > 0
    verifying = max(
        _pass_bytes(reads, 1 + drafted) / reads.of_pass(1),
        cost.of_verification(drafted, has_drafter=has_drafter),
    )
    passes = min(1.0, drafted) if reads.block_bytes else drafted
    return verifying + passes * draft_cost


def _draft_costs(machine: Machine, reads: Reads, cost: Cost) -> tuple[float, ...]:
    """Plain steps of one pass of the drafter: the least and the most."""
    if machine.draft_cost is not None:
        return (machine.draft_cost,)
    of_pass = reads.draft_bytes or reads.block_bytes
    if cost.with_drafting or not of_pass:
        return (0.0,)
    by_bytes = of_pass / reads.of_pass(1)
    if not machine.drafts_apart:
        return (by_bytes,)
    fastest = machine.share.fastest_ceiling
    most = min(machine.plain_ceiling(reads), fastest) / min(machine.bandwidth / of_pass, fastest)
    return (by_bytes, max(by_bytes, most))


def _pass_bytes(reads: Reads, rows: float) -> float:
    """As `Reads.of_pass`, for a mean number of rows."""
    if not reads.expert_bytes:
        return reads.of_pass(1)
    weights = verified_active_bytes(
        reads.active_bytes, reads.expert_bytes, reads.experts, reads.experts_used, rows
    )
    return weights + reads.kv_bytes


def _draft_bytes(reads: Reads, drafted: float) -> float:
    return drafted * reads.draft_bytes + min(1.0, drafted) * reads.block_bytes
