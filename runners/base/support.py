"""What a runner says of a method: whether it can draft so here, and what that takes.

A runner declares needs; whoever knows the model files holds them against it. Neither has to know
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Need(Enum):
    """What a method cannot work without; the value is how a message says it."""

    DRAFT_MODEL = "a smaller model of the same vocabulary"
    EQUAL_SIZES = "a draft model whose vocabulary is exactly as large as the target's"
    MTP_HEADS = "a model file that holds its MTP heads, or a file of them as draft model"
    EAGLE_DRAFT = "an EAGLE head made for the target"
    EAGLE3_DRAFT = "an EAGLE-3 draft model made for the target"
    MEDUSA_HEADS = "Medusa heads made for the target"
    DFLASH_DRAFT = "a DFlash draft model made for the target"
    DSPARK_DRAFT = "a DSpark draft model (DFlash with a Markov head) made for the target"


class LengthLimit(Enum):
    """What silently shortens the draft length; the value is how a message says it."""

    CHAINED_HEADS = "the model's chained MTP heads"
    """Only where a model has more than one: a single head is applied again and again."""
    MEDUSA_HEADS = "the Medusa heads, each of which drafts one token"
    BLOCK = "the block that the draft model was trained on"


@dataclass(frozen=True)
class MethodSupport:
    """Whether the runner can draft in this way here, and what it needs for it."""

    method: str
    supported: bool
    note: str = ""
    """What it needs, or why it is not supported."""
    needs: tuple[Need, ...] = ()
    limit: LengthLimit | None = None
    fixed_length: int | None = None
    """The draft length, where it is built into the runner."""
