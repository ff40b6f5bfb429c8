"""What a tuning makes faster, of one request at a time."""

from __future__ import annotations

from enum import StrEnum


class TuningGoal(StrEnum):
    """The figure by which a tuning holds settings against each other."""

    DECODE = "decode"
    """Tokens per second after the first burst."""
    THROUGHPUT = "throughput"
    """Tokens per second of a whole request, its prefill included: not that of many at once."""
    TTFT = "ttft"
    """Time to the first token."""
