"""The answer was too short for a steady rate."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

LEAST_TOKENS = 8
"""A rate over fewer stands on so few steps that a single late one makes it."""

MARK = Mark(
    "early-end",
    f"answer shorter than {LEAST_TOKENS} tokens",
    frozenset({Figure.RATE}),
    "Ask for longer answers, with --max-tokens or other prompts.",
)


def ends_early(sample: Sample) -> bool:
    return sample.output_tokens is not None and sample.output_tokens < LEAST_TOKENS
