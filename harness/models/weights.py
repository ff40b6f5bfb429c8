"""The weights of a model by what they are for, and what of them a token reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

ALL, NOTHING = Fraction(1), Fraction(0)

LOOKED_UP = "tables: a token reads one row"
MTP_UNUSED = "MTP layers: read only when they draft"
OTHER_SENSE = "parts for images or sound: not read for text"


class Role(Enum):
    """What a tensor is for; the value is how a table says it."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"
    ROUTED = "routed experts"
    SHARED = "shared experts"
    ROUTER = "router"
    NORM = "norms"
    RECURRENT = "recurrent"
    OUTPUT = "output"
    MTP = "MTP"
    OTHER = "other"


@dataclass(frozen=True)
class Weight:
    """One tensor."""

    role: Role
    type: str
    """As its format calls it: 'Q4_K', 'BF16'."""
    parameters: int
    bytes: int
    share: Fraction = ALL
    """What of it one token's forward pass reads."""
    unread: str | None = None
    """Why the rest is not read."""


def chosen(used: int, experts: int) -> str:
    """Why a share of the routed experts is not read."""
    return f"routed experts: a token reads {used} of {experts}"
