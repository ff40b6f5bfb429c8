"""Answers that end by repeating themselves: they are easy to draft, so they inflate acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.records import Sample

REPEATS = 3
"""A tail that says the same thing at least so often …"""
TAIL_TOKENS = 32
"""… over at least so many tokens is a loop."""
LONGEST_PERIOD_TOKENS = 64
TAIL_CHARACTERS = 160
"""Where token ids are not exposed. Longer than any rule of dashes that an answer may end with."""
LONGEST_PERIOD_CHARACTERS = 256


@dataclass(frozen=True)
class Loop:
    """The last `length` tokens (or characters) repeat with this period."""

    period: int
    length: int
    unit: Literal["tokens", "characters"]


def find_loop(sample: Sample) -> Loop | None:
    """The loop that a sample's answer ends with; None too where the answer was not kept."""
    if sample.tokens is not None:
        found = _repeating_tail(sample.tokens, TAIL_TOKENS, LONGEST_PERIOD_TOKENS)
        return None if found is None else Loop(*found, unit="tokens")
    if sample.text is not None:
        text = sample.text.rstrip()
        found = _repeating_tail(text, TAIL_CHARACTERS, LONGEST_PERIOD_CHARACTERS)
        return None if found is None else Loop(*found, unit="characters")
    return None


def _repeating_tail(
    sequence: Sequence[int] | str, shortest: int, longest_period: int
) -> tuple[int, int] | None:
    """(period, length) of the repeating tail with the shortest period, if it is long enough."""
    size = len(sequence)
    longest = min(longest_period, size // REPEATS)
    if sequence[-1:] and sequence[-1] not in sequence[-1 - longest : -1]:
        return None
    for period in range(1, longest + 1):
        if sequence[-1 - period] != sequence[-1]:
            continue
        length = period
        while length < size and sequence[size - 1 - length] == sequence[size - 1 - length + period]:
            length += 1
        if length >= max(shortest, REPEATS * period):
            return period, length
    return None
