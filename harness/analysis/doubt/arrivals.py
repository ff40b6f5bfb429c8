"""Fewer chunks arrived than steps were made: several steps were read at once."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MARK = Mark(
    "arrivals",
    "the tokens of several steps arrived at once",
    frozenset({Figure.RATE, Figure.TTFT}),
    "Leave a processor for the client, and have the server send every step by itself.",
)

LEAST_SHARE = 0.5
"""Arrivals a step. Some steps end in the middle of a character, which is sent with the next."""
LEAST_STEPS = 8
"""Of fewer steps, half may be such a character."""


def arrived_together(sample: Sample, arrivals: int) -> bool:
    """`arrivals`: bursts of the answer; 0 where nobody kept them, which raises no doubt."""
    if sample.steps is None or sample.steps < LEAST_STEPS:
        return False
    return 0 < arrivals < LEAST_SHARE * sample.steps
