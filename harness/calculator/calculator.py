"""What a machine could decode at most: a question of sizes and bandwidths, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.calculator.bandwidths import BandwidthsError, Memory, Source, memory_of
from harness.inspection.cache_size import cache_size
from harness.models.cache import CacheKind
from harness.models.errors import shown
from harness.models.read import Anatomy, read_anatomy
from harness.theory.acceptance import geometric_rates, tau_of_rates
from harness.theory.ceiling import Reads, speculative_ceiling

LONGEST_DRAFT = 256
MOST_DEPTHS = 64


class CalculatorError(Exception):
    """The question has no answer as it is put; the text says what to change."""


class Drafting(Enum):
    """How drafts are made, as far as bytes go."""

    NONE = "none"
    MTP = "mtp"
    DRAFT_MODEL = "draft-model"
    NGRAM = "ngram"


@dataclass(frozen=True)
class Question:
    """What `bench ceiling` is asked. Either `model` or `read_bytes`."""

    model: Path | None = None
    read_bytes: float | None = None
    """Bytes that one token reads, where there is no model file."""
    hardware: str | None = None
    bandwidth: float | None = None
    """Bytes/s; goes before `hardware`."""
    depths: tuple[int, ...] = (0,)
    drafting: Drafting = Drafting.NONE
    draft_model: Path | None = None
    draft_tokens: tuple[int, ...] = ()
    acceptance: tuple[float, ...] = ()
    """One share: geometric. Several: rates by position."""
    verify_cost: float | None = None
    """Of each row more, in plain steps."""
    draft_cost: float | None = None
    """Of each draft token, in plain steps."""


class Row(BaseModel):
    """The ceiling at one depth with one draft length; of plain decoding with 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int
    draft_tokens: int
    acceptance_length: float
    bytes_per_step: float
    tokens_per_s: float
    speedup: float
    """Over plain decoding at the same depth."""
    break_even_length: float
    """The acceptance length below which plain decoding is faster."""
    best: bool
    """The fastest of its depth."""


class Answer(BaseModel):
    """All that `bench ceiling` tells. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None
    active_bytes: float
    kv_bytes_per_token: float | None
    method: str
    draft_bytes: float
    """Weights that drafting one token reads; a whole draft where `drafts_blocks`."""
    drafts_blocks: bool = False
    """The drafter drafts all tokens of a draft in one pass."""
    verify_cost: float
    draft_cost: float
    bandwidths: tuple[Source, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def parse_drafting(text: str) -> Drafting:
    """The method of that name.

    Raises:
        ValueError: there is none that the calculator knows.
    """
    try:
        return Drafting(text)
    except ValueError:
        known = ", ".join(drafting.value for drafting in Drafting)
        raise ValueError(f"{text!r:.60} is none of {known}") from None


def answer(question: Question) -> Answer:
    """Work out the ceilings. Measures this machine's memory where no hardware is named.

    Raises:
        CalculatorError: the question contradicts itself, or lacks something.
        ModelFileError: a file is no model.
    """
    taus = _taus(question)
    if len(question.depths) > MOST_DEPTHS:
        raise CalculatorError(f"{len(question.depths)} depths are more than {MOST_DEPTHS}")
    target = _target(question)
    drafter = None if question.draft_model is None else read_anatomy(question.draft_model)
    draft_bytes, notes = _draft_bytes(question, target, drafter)
    active = _active(question, target)
    if max(question.depths) and target is None:
        raise CalculatorError("--depth needs a model file: its header tells the KV bytes per token")
    try:
        memory = memory_of(question.hardware, question.bandwidth)
    except BandwidthsError as error:
        raise CalculatorError(str(error)) from error
    rows: list[Row] = []
    for depth in question.depths:
        reads = _reads(question, target, drafter, draft_bytes, depth)
        rows += _rows(question, reads, memory.used.bytes_per_s, depth, taus)
    notes += _warnings(question, active, target, memory)
    return Answer(
        model=None if question.model is None else question.model.name,
        active_bytes=active,
        kv_bytes_per_token=None if target is None else target.file.facts.kv_bytes_per_token,
        method=question.drafting.value,
        draft_bytes=draft_bytes,
        drafts_blocks=_drafts_blocks(drafter),
        verify_cost=question.verify_cost or 0,
        draft_cost=question.draft_cost or 0,
        bandwidths=memory.sources,
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _taus(question: Question) -> dict[int, float]:
    """The acceptance length of each draft length that is asked for."""
    if question.drafting is Drafting.NONE:
        given = (
            ("--draft-tokens", question.draft_tokens),
            ("--acceptance", question.acceptance),
            ("--draft-model", question.draft_model),
            ("--verify-cost", question.verify_cost is not None),
            ("--draft-cost", question.draft_cost is not None),
        )
        for flag, is_given in given:
            if is_given:
                raise CalculatorError(
                    f"{flag} goes with speculating: name a --method (mtp, draft-model or ngram)"
                )
        return {}
    if not question.draft_tokens:
        raise CalculatorError("--method needs the lengths of the drafts, as in --draft-tokens 1-8")
    if not question.acceptance:
        raise CalculatorError(
            "--method needs how often drafts are accepted: --acceptance 0.65, or by position "
            "0.9,0.7,0.5 (a report of bench sweep has both)"
        )
    if min(question.draft_tokens) < 1 or max(question.draft_tokens) > LONGEST_DRAFT:
        raise CalculatorError(f"draft tokens are 1 to {LONGEST_DRAFT}; plain decoding is shown too")
    rates = question.acceptance
    if len(rates) > 1 and max(question.draft_tokens) > len(rates):
        raise CalculatorError(
            f"{len(rates)} rates by position say nothing of {max(question.draft_tokens)} draft "
            "tokens: give a rate for each, or one share for a geometric acceptance"
        )
    try:
        return {
            k: tau_of_rates(rates[:k] if len(rates) > 1 else geometric_rates(rates[0], k))
            for k in question.draft_tokens
        }
    except ValueError as error:
        raise CalculatorError(f"--acceptance: {error}") from error


def _target(question: Question) -> Anatomy | None:
    if (question.model is None) == (question.read_bytes is None):
        raise CalculatorError(
            "give a model file, or --bytes with what one token reads; one of both"
        )
    if question.model is None:
        return None
    target = read_anatomy(question.model)
    if target.file.facts.drafter is not None or target.file.facts.mtp_only:
        raise CalculatorError(
            f"{shown(question.model)} drafts for another model and decodes nothing by itself: give "
            "it as --draft-model"
        )
    return target


def _active(question: Question, target: Anatomy | None) -> float:
    if target is None:
        return question.read_bytes or 0
    if not target.file.facts.active_bytes:
        raise CalculatorError("the model file holds nothing that decoding a token would read")
    return float(target.file.facts.active_bytes)


def _reads(
    question: Question,
    target: Anatomy | None,
    drafter: Anatomy | None,
    draft_bytes: float,
    depth: int,
) -> Reads:
    """What passes and drafts read at one depth."""
    active = _active(question, target)
    if draft_bytes and question.drafting is Drafting.MTP:
        draft_bytes += _mtp_kv_bytes(target, drafter, depth)
    if draft_bytes:
        draft_bytes += _kv_bytes(drafter, depth) or 0
    blocks = _drafts_blocks(drafter)
    reads = Reads(
        active,
        _kv_bytes(target, depth) or 0,
        draft_bytes=0 if blocks else draft_bytes,
        block_bytes=draft_bytes if blocks else 0,
    )
    facts = None if target is None else target.file.facts
    if facts is None or not (facts.experts and facts.experts_used):
        return reads
    return replace(
        reads,
        expert_bytes=facts.expert_bytes,
        experts=facts.experts,
        experts_used=facts.experts_used,
    )


def _kv_bytes(model: Anatomy | None, depth: int) -> float | None:
    """What the cache at F16 makes a pass read at a depth, windows and states included."""
    layers = None if model is None else model.parts.cache()
    return None if layers is None else cache_size(layers, depth, "f16", "f16").read_bytes


def _mtp_kv_bytes(target: Anatomy | None, drafter: Anatomy | None, depth: int) -> float:
    """What one MTP layer reads of its own cache at a depth, at F16."""
    for model in (drafter, target):
        layers = () if model is None else model.parts.cache() or ()
        heads = [group for group in layers if group.kind is CacheKind.MTP]
        if heads:
            rows = cache_size(heads, depth, "f16", "f16").rows
            return sum(row.read_bytes or 0 for row in rows) / sum(row.layers for row in rows)
    return 0


def _drafts_blocks(drafter: Anatomy | None) -> bool:
    return drafter is not None and drafter.file.facts.drafts_blocks


def _draft_bytes(
    question: Question, target: Anatomy | None, drafter: Anatomy | None
) -> tuple[float, list[str]]:
    """Weights that drafting one token reads, and what is to be said of it."""
    match question.drafting:
        case Drafting.MTP:
            found = _mtp_bytes(target, drafter)
            lacking = "the model file has no MTP heads: name the file of its heads"
        case Drafting.DRAFT_MODEL:
            found = _drafter_bytes(target, drafter)
            lacking = "--method draft-model needs the draft model: name it"
        case _:
            if drafter is not None:
                raise CalculatorError("--draft-model goes with --method draft-model or mtp")
            return 0, []
    if found is not None:
        return found, []
    if question.draft_cost is None and target is not None:
        raise CalculatorError(
            f"{lacking} with --draft-model, or say what drafting a token costs with --draft-cost"
        )
    free = "what a draft reads is not known: drafting counts as free"
    return 0, [] if question.draft_cost is not None else [free]


def _mtp_bytes(target: Anatomy | None, drafter: Anatomy | None) -> float | None:
    for model in (drafter, target):
        if model is not None and model.file.facts.mtp_active_bytes:
            return model.file.facts.mtp_active_bytes
    return None if drafter is None else drafter.file.facts.active_bytes


def _drafter_bytes(target: Anatomy | None, drafter: Anatomy | None) -> float | None:
    if drafter is None:
        return None
    return drafter.file.facts.drafting_bytes(None if target is None else target.file.facts)


def _rows(
    question: Question, reads: Reads, bandwidth: float, depth: int, taus: dict[int, float]
) -> list[Row]:
    """Plain decoding and each draft length, at one depth."""
    try:
        rates = {
            k: speculative_ceiling(
                bandwidth,
                reads,
                tau,
                k,
                verify_cost=question.verify_cost or 0,
                draft_cost=question.draft_cost or 0,
            )
            for k, tau in {0: 1.0, **taus}.items()
        }
    except ValueError as error:
        raise CalculatorError(str(error)) from error
    fastest = max(rates.values())
    best = next(k for k, rate in rates.items() if rate == fastest)
    return [
        Row(
            depth=depth,
            draft_tokens=k,
            acceptance_length=taus.get(k, 1.0),
            bytes_per_step=reads.of_step(k),
            tokens_per_s=rate,
            speedup=rate / rates[0],
            break_even_length=taus.get(k, 1.0) * rates[0] / rate,
            best=k == best and len(rates) > 1,
        )
        for k, rate in rates.items()
    ]


def _warnings(
    question: Question,
    active: float,
    target: Anatomy | None,
    memory: Memory,
) -> Sequence[str]:
    notes: list[str] = []
    if target is not None and not target.is_known:
        notes.append(
            f"the architecture {target.file.facts.architecture!r:.40} is not known: all tensors "
            "count as read for each token"
        )
    if target is not None and max(question.depths) and target.parts.cache() is None:
        notes.append("the header does not tell what the KV cache holds: no depth is counted")
    if memory.cache_bytes is not None and active <= memory.cache_bytes:
        notes.append(
            f"what a token reads fits the last cache ({memory.cache_bytes / 2**20:.0f} MiB): "
            "decoding can be faster than this"
        )
    held = active if target is None else float(target.file.facts.tensor_bytes)
    if memory.total_bytes is not None and held > memory.total_bytes:
        notes.append(
            f"{held / 1e9:.1f} GB of weights do not fit in {memory.total_bytes / 1e9:.1f} GB of "
            "memory: what does not fit is read over a slower bus"
        )
    return notes
