"""The prompt came partly from a cache, so the prefill was shorter than it would be."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MARK = Mark(
    "cached",
    "prompt partly from a cache",
    frozenset({Figure.TTFT}),
    "Turn the runner's prompt cache off.",
)


def is_cached(sample: Sample) -> bool:
    return bool(sample.cached_tokens)
