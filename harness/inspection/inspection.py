"""What a model's files say of it, for `bench inspect`: read from headers, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.compatibility import GGUF
from harness.inspection.cache_size import CacheSize, cache_size
from harness.inspection.draft_fitness import DraftFitness, draft_fitness
from harness.inspection.room import Memory, Room, memories_here, room_in
from harness.models.architectures import OWN_CACHE
from harness.models.cache import CacheKind
from harness.models.facts import ModelFacts
from harness.models.read import Anatomy, files_of, read_anatomy
from harness.models.weights import Role, Weight

DEFAULT_CONTEXT = 4096
"""Tokens; less where the model was trained on less."""


class WeightRow(BaseModel):
    """All tensors of one role and type together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    type: str
    tensors: int
    parameters: int
    bytes: int
    read_bytes: int
    """What of them a token's pass reads."""


class Unread(BaseModel):
    """Bytes that plain decoding leaves alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    bytes: int


class InspectedDraft(BaseModel):
    """The file that is to draft."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    facts: ModelFacts
    fitness: DraftFitness
    drafting_bytes: int
    """Weights that drafting reads: for each token, or for a draft where `facts.drafts_blocks`."""
    cache: CacheSize | None


class Inspection(BaseModel):
    """All that `bench inspect` tells. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    files: int
    """Parts of a split file, or files of a folder."""
    facts: ModelFacts
    architecture_known: bool
    active_parameters: int
    """Parameters that a token's pass reads."""
    weights: tuple[WeightRow, ...]
    unread: tuple[Unread, ...]
    cache: CacheSize | None
    """None: not known."""
    draft: InspectedDraft | None
    needed_bytes: int
    """Weights and cache, the draft's too; without the buffers that a runner computes in."""
    room: tuple[Room, ...]
    notes: tuple[str, ...]


def inspect(
    path: Path,
    *,
    draft: Path | None = None,
    context: int | None = None,
    key_type: str = "f16",
    value_type: str = "f16",
    memories: Sequence[Memory] | None = None,
) -> Inspection:
    """Read the headers of a model and of a draft for it.

    `context` is in tokens, at least 1; the cache types are named as in llama.cpp. `memories` are
    this machine's where none are given.

    Raises:
        ModelFileError: a file is missing, no model file, or damaged.
    """
    model = read_anatomy(path)
    drafting = None if draft is None else read_anatomy(draft)
    facts = model.file.facts
    at = context or min(DEFAULT_CONTEXT, facts.training_context or DEFAULT_CONTEXT)
    types = (key_type, value_type)
    cache = _cache(model, at, types)
    drafts = None if drafting is None else _draft(model, drafting, _cache(drafting, at, types))
    weights = model.parts.weights()
    needed = facts.tensor_bytes + _held(cache)
    if drafts is not None:
        needed += drafts.facts.tensor_bytes + _held(drafts.cache)
    here = memories_here() if memories is None else memories
    return Inspection(
        path=str(path),
        files=len(files_of(path)),
        facts=facts,
        architecture_known=model.is_known,
        active_parameters=int(sum(weight.parameters * weight.share for weight in weights)),
        weights=tuple(_rows(weights)),
        unread=tuple(_unread(weights)),
        cache=cache,
        draft=drafts,
        needed_bytes=needed,
        room=tuple(room_in(memory, needed) for memory in here),
        notes=tuple(_notes(model, weights, cache, at, types)),
    )


def _draft(model: Anatomy, drafting: Anatomy, cache: CacheSize | None) -> InspectedDraft:
    return InspectedDraft(
        path=str(drafting.file.path),
        facts=drafting.file.facts,
        fitness=draft_fitness(model.file, drafting.file),
        drafting_bytes=drafting.file.facts.drafting_bytes(model.file.facts),
        cache=cache,
    )


def _cache(model: Anatomy, context: int, types: tuple[str, str]) -> CacheSize | None:
    layers = model.parts.cache()
    in_cells = model.file.facts.format == GGUF
    return None if layers is None else cache_size(layers, context, *types, in_cells=in_cells)


def _held(cache: CacheSize | None) -> int:
    return 0 if cache is None else cache.held_bytes


def _rows(weights: Sequence[Weight]) -> list[WeightRow]:
    """By role in the order of `Role`, and by size within it."""
    groups: dict[tuple[Role, str], list[Weight]] = {}
    for weight in weights:
        groups.setdefault((weight.role, weight.type), []).append(weight)
    rows = [
        WeightRow(
            role=role.value,
            type=kind,
            tensors=len(group),
            parameters=sum(weight.parameters for weight in group),
            bytes=sum(weight.bytes for weight in group),
            read_bytes=int(sum(weight.bytes * weight.share for weight in group)),
        )
        for (role, kind), group in groups.items()
    ]
    order = [role.value for role in Role]
    return sorted(rows, key=lambda row: (order.index(row.role), -row.bytes))


def _unread(weights: Iterable[Weight]) -> list[Unread]:
    reasons: dict[str, list[Weight]] = {}
    for weight in weights:
        if weight.unread is not None:
            reasons.setdefault(weight.unread, []).append(weight)
    return [
        Unread(reason=reason, bytes=int(sum(w.bytes * (1 - w.share) for w in group)))
        for reason, group in reasons.items()
    ]


def _notes(
    model: Anatomy,
    weights: Sequence[Weight],
    cache: CacheSize | None,
    context: int,
    types: tuple[str, str],
) -> list[str]:
    facts = model.file.facts
    notes = []
    if not model.is_known:
        notes.append(
            f"The architecture {facts.architecture!r:.40} is not known: all tensors count as read "
            "for each token, and layers are told by the usual names."
        )
    roles = {weight.role for weight in weights if weight.share}
    if model.is_known and Role.EMBEDDING in roles and Role.OUTPUT not in roles:
        notes.append("The embedding is the output matrix too, and is read whole for each token.")
    if cache is None:
        notes.append("The cache is not known: its config.json does not say enough of the layers.")
        return notes
    if facts.architecture in OWN_CACHE:
        notes.append(
            f"{facts.architecture} compresses its cache in a way of its own, "
            "which is not counted: the real one differs."
        )
    if any(row.held_bytes is None for row in cache.rows):
        notes.append("The size of the recurrent state is not known, and left out of all sums.")
    if facts.training_context is not None and context > facts.training_context:
        notes.append(f"The model was trained on contexts of up to {facts.training_context:,}.")
    latent = any(row.kind == CacheKind.LATENT.value for row in cache.rows)
    if latent and types[0] != types[1]:
        notes.append(
            "Of latent attention only keys are kept: llama.cpp refuses another type of values."
        )
    return notes
