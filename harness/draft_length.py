"""How long the drafts are that a method really makes with these model files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.compatibility import Files
from runners.base.support import LengthLimit, MethodSupport

FIXED = "built into the runner"


@dataclass(frozen=True)
class Length:
    """The drafts that a method really makes, and what makes them so; None: the asked length."""

    tokens: int
    limit: str | None = None


def length_of(supports: Mapping[str, MethodSupport], asked: int, files: Files) -> Length:
    """The draft length that comes of asking for `asked` tokens.

    `supports` holds the parts of a chain. Where some part can use the length as it is, it stays;
    otherwise the longest that any part can make takes its place.
    """
    found = [_length(support, asked, files) for support in supports.values()]
    unchanged = next((length for length in found if length.tokens == asked), None)
    return unchanged or max(found, key=lambda length: length.tokens, default=Length(asked))


def _length(support: MethodSupport, asked: int, files: Files) -> Length:
    if support.fixed_length is not None:
        return Length(support.fixed_length, None if support.fixed_length == asked else FIXED)
    longest = _longest(support, files)
    if support.limit is None or longest is None or asked <= longest:
        return Length(asked)
    return Length(longest, support.limit.value)


def _longest(support: MethodSupport, files: Files) -> int | None:
    """The longest draft that the model's build allows; None: any."""
    drafting = files.draft or files.target
    if support.limit is LengthLimit.CHAINED_HEADS:
        return drafting.facts.mtp_layers if drafting.facts.mtp_layers > 1 else None
    if support.limit is LengthLimit.MEDUSA_HEADS and drafting.facts.drafter is not None:
        return drafting.facts.drafter.heads
    if support.limit is LengthLimit.BLOCK and drafting.facts.drafter is not None:
        drafter = drafting.facts.drafter
        # A block begins with the token before the draft, whose own place drafts only in DSpark.
        whole = drafter.markov_head and drafter.anchor_first
        return None if drafter.block_size is None else drafter.block_size - (0 if whole else 1)
    return None
