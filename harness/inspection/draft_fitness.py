"""Whether a model can draft for another one, by which method and how far ahead."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from harness.compatibility import GGUF, Files, drafts_by, reason_against
from harness.draft_length import length_of
from harness.models.read import ModelFile
from runners.base.support import LengthLimit, MethodSupport, Need

_NEEDS: dict[str, tuple[Need, ...]] = {
    "draft-model": (Need.DRAFT_MODEL,),
    "mtp": (Need.MTP_HEADS,),
    "eagle": (Need.EAGLE_DRAFT,),
    "eagle3": (Need.EAGLE3_DRAFT,),
    "medusa": (Need.MEDUSA_HEADS,),
    "dflash": (Need.DFLASH_DRAFT,),
    "dspark": (Need.DSPARK_DRAFT,),
}
_LIMITS = {
    "mtp": LengthLimit.CHAINED_HEADS,
    "medusa": LengthLimit.MEDUSA_HEADS,
    "dflash": LengthLimit.BLOCK,
    "dspark": LengthLimit.BLOCK,
}
_ANY_LENGTH = 1 << 20


class DraftFitness(BaseModel):
    """What comes of one file drafting for another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    """As in `bench sweep --method`."""
    reason_against: str | None
    """None: nothing speaks against it."""
    longest: int | None
    """Tokens of the longest draft; None: any length."""
    limit: str | None
    """What makes it so."""


def draft_fitness(target: ModelFile, draft: ModelFile) -> DraftFitness:
    """Hold the draft against the target, as a sweep does it before it launches anything.

    Raises:
        ModelFileError: a file cannot be read any more.
    """
    method = drafts_by(draft) or "draft-model"
    limit = _LIMITS.get(method)
    files = Files(target, draft)
    needs = _NEEDS[method]
    if method == "draft-model" and GGUF not in (target.facts.format, draft.facts.format):
        needs = (*needs, Need.EQUAL_SIZES)
    support = MethodSupport(method, supported=True, needs=needs, limit=limit)
    if GGUF in (target.facts.format, draft.facts.format) and (
        target.facts.format != draft.facts.format
    ):
        reason: str | None = (
            f"{files.draft_name} is {_format(draft)} and {files.target_name} is {_format(target)}: "
            "no runner reads the two together"
        )
    else:
        reason = reason_against(support, files)
    length = length_of({method: support}, _ANY_LENGTH, files)
    return DraftFitness(
        method=method,
        reason_against=reason,
        longest=None if length.limit is None else length.tokens,
        limit=length.limit,
    )


def _format(model: ModelFile) -> str:
    return "a GGUF file" if model.facts.format == GGUF else f"a folder ({model.facts.format})"
