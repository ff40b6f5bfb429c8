"""What a doubt is called and which figures it spoils."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Figure(Enum):
    """What a doubt can spoil; the value is what a note calls it."""

    RATE = "tok/s"
    TTFT = "TTFT"
    """Prefill rates too."""
    ACCEPTANCE = "acceptance"
    """Acceptance length too."""
    MEMORY = "peak memory"


@dataclass(frozen=True)
class Mark:
    """A reason for doubt in one sample: one constant in the file of its rule."""

    name: str
    """'busy'"""
    words: str
    """How a note says it."""
    spoils: frozenset[Figure]
    """The figures that leave such a sample out; of none, it is only marked."""
    advice: str
    """What to do about it: a sentence that starts with a verb."""
