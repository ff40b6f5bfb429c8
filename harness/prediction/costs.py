"""What a step of speculation costs beside a plain one, by kind of hardware, as published.

    plain steps of a step = 1 + fixed + rows x per row, and drafting where that is not in it

Every figure is one line; between the cheapest and the dearest of a kind lies what to expect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.step_costs import StepCost
from harness.prediction.kinds import Kind

LEAST_DRAFTED = 0.5
"""Drafted tokens a step below which a row's cost is lost in noise."""


@dataclass(frozen=True)
class Cost:
    """In plain steps."""

    per_row: float
    """Of each row more that is verified."""
    source: str
    fixed: float = 0.0
    """Of every step that a model drafts for, whatever its rows; a lookup costs none of it."""
    with_drafting: bool = False
    """Drafting was part of what was measured."""

    def of_verification(self, drafted: float, *, has_drafter: bool) -> float:
        return 1 + (self.fixed if has_drafter else 0) + drafted * self.per_row


EIGHT_ROWS_CUDA = Cost(0.20, "8 rows in 2.4 plain steps on CUDA, published")
EIGHT_ROWS_M4 = Cost(0.79, "8 rows in 6.5 plain steps on an M4, published")
MTP_5090 = Cost(0.095, "the best fit of a published MTP sweep on an RTX 5090", with_drafting=True)
MTP_4090 = Cost(0.17, "a published MTP rate at k = 3 on an RTX 4090", with_drafting=True)
MTP_H100 = Cost(
    0.10,
    "this project's example run 'h100-verification' (MTP)",
    fixed=0.44,
    with_drafting=True,
)
A_TOKEN_EACH = Cost(1.0, "as dear as a token: reading the weights sets the pace no more")

KNOWN = {
    Kind.NVIDIA: (EIGHT_ROWS_CUDA, MTP_5090, MTP_4090, MTP_H100),
    # One figure, of the smallest chip: nothing says that larger ones are dearer than CUDA.
    Kind.APPLE: (EIGHT_ROWS_CUDA, EIGHT_ROWS_M4),
    Kind.PROCESSOR: (EIGHT_ROWS_CUDA, A_TOKEN_EACH),
    Kind.OTHER: (EIGHT_ROWS_CUDA, MTP_5090, EIGHT_ROWS_M4),
}
"""Of a kind without figures of its own: the range of the others."""


def costs_of(
    kind: Kind, given: float | None, measured: Iterable[StepCost], *, short_steps: bool
) -> tuple[Cost, ...]:
    """The lines that count: what was given, else what a processor's own run measured, else what is
    known of the kind.

    `measured`: the step costs of the same runner and method in the run, all workloads.
    `short_steps`: plain steps are shorter than any published ones, so that reading is little of
    them and a row may cost a whole one.
    """
    if given is not None:
        return (Cost(given, "as given"),)
    rows = [
        max(0.0, (one.plain_steps - 1) / (one.rows - 1))
        for one in measured
        if one.rows - 1 >= LEAST_DRAFTED
    ]
    if kind is Kind.PROCESSOR and rows:
        source = "as this run measured, drafting included"
        return tuple(
            Cost(row, source, with_drafting=True) for row in sorted({min(rows), max(rows)})
        )
    dearest = (A_TOKEN_EACH,) if short_steps and A_TOKEN_EACH not in KNOWN[kind] else ()
    return (*KNOWN[kind], *dearest)
