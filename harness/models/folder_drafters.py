"""Folders that hold no model of their own but draft for one: EAGLE, EAGLE-3, Medusa, DFlash.

They are told apart as vLLM 0.32 does it (config/speculative.py and the loaders that it names), and
by their tensors where config.json is that of an ordinary Llama.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.models.facts import DrafterFacts
from harness.models.tensors import Tensor

EAGLE, EAGLE3, MEDUSA, DFLASH = "eagle", "eagle3", "medusa", "dflash"

DEFAULT_STATES = 3
"""Hidden states that an EAGLE-3 head joins, where config.json does not say (llama_eagle3.py)."""

_EAGLE_ARCHITECTURE = re.compile(r"EAGLEModel|Eagle\w+ForCausalLM|EagleDeepSeekMTPModel")
_MEDUSA_TENSOR = re.compile(r"(?:medusa_heads\.|blocks\.)?(\d+)\.(?:layers\.)?\d+\.")


@dataclass(frozen=True)
class Drafter:
    architecture: str
    """As in GGUF: DSpark is a DFlash with a Markov head."""
    facts: DrafterFacts


def drafter_of(config: Mapping[str, Any], tensors: Sequence[Tensor]) -> Drafter | None:
    """What the folder drafts by; None of a model of its own."""
    kind = _kind(config, tensors)
    if kind is None:
        return None
    width = _count(config, "target_hidden_size") or _count(config, "hidden_size")
    if kind == MEDUSA:
        heads = {m.group(1) for t in tensors if (m := _MEDUSA_TENSOR.match(t.name))}
        facts = DrafterFacts(target_width=width, target_layers=(), heads=len(heads) or None)
    elif kind == EAGLE:
        facts = DrafterFacts(target_width=width, target_layers=())
    elif kind == EAGLE3:
        facts = _eagle3(config, width)
    else:
        facts = _dflash(config, width, {tensor.name for tensor in tensors})
    shares = kind != MEDUSA and not any("lm_head" in tensor.name for tensor in tensors)
    return Drafter(kind, facts.model_copy(update={"shares_output": shares}))


def _kind(config: Mapping[str, Any], tensors: Sequence[Tensor]) -> str | None:
    said = config.get("architectures")
    names = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    speculator = config.get("speculators_model_type")
    names += [speculator] if isinstance(speculator, str) else []
    lower = [name.lower() for name in names]
    if any("dflash" in name or "dspark" in name for name in lower) or "dflash_config" in config:
        return DFLASH
    if any("eagle3" in name or "peagle" in name for name in lower):
        return EAGLE3
    if config.get("model_type") == "medusa" or "medusa_num_heads" in config:
        return MEDUSA
    if EAGLE in (config.get("model_type"), speculator):
        return EAGLE
    if any(_EAGLE_ARCHITECTURE.fullmatch(name) for name in names):
        return EAGLE
    return _kind_by_tensors(tensors)


def _kind_by_tensors(tensors: Sequence[Tensor]) -> str | None:
    """An EAGLE head joins an embedding and a state by `fc`, an EAGLE-3 head three states."""
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    if any(name.startswith("medusa_heads.") for name in shapes):
        return MEDUSA
    joined = shapes.get("fc.weight")
    if joined is None or len(joined) != 2 or any(name.startswith("model.") for name in shapes):
        return None
    if "d2t" in shapes or any(name.startswith("midlayer.") for name in shapes):
        return EAGLE3
    return EAGLE if joined[1] == 2 * joined[0] else None


def _eagle3(config: Mapping[str, Any], width: int | None) -> DrafterFacts:
    inner = config.get("eagle_config")
    own: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    if own.get("use_aux_hidden_state", True) is False:
        return DrafterFacts(target_width=width, target_layers=())
    key = "eagle_aux_hidden_state_layer_ids"
    layers = _numbers(config.get(key)) or _numbers(own.get(key))
    states = _count(config, "num_aux_hidden_states") or len(layers or ()) or DEFAULT_STATES
    return DrafterFacts(target_layers=layers, target_width=width, target_states=states)


def _dflash(config: Mapping[str, Any], width: int | None, names: Collection[str]) -> DrafterFacts:
    inner = config.get("dflash_config")
    own: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    from_speculators = "speculators_model_type" in config
    after = _numbers(config.get("aux_hidden_state_layer_ids"))
    before = (
        _numbers(own.get("target_layer_ids"))
        or _numbers(config.get("dspark_target_layer_ids"))
        or _numbers(config.get("target_layer_ids"))
    )
    anchor = own.get("sample_from_anchor", config.get("sample_from_anchor", not from_speculators))
    return DrafterFacts(
        # These count from the first layer as 0; a hidden state is named by the layers behind it.
        target_layers=after or (tuple(layer + 1 for layer in before) if before else None),
        target_width=width,
        block_size=_count(config, "block_size") or _count(config, "dspark_block_size"),
        markov_head=bool(_count(config, "markov_rank")) or any("markov" in name for name in names),
        anchor_first=anchor is True,
    )


def _numbers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not value:
        return None
    numbers = tuple(n for n in value if isinstance(n, int) and not isinstance(n, bool))
    return numbers if len(numbers) == len(value) else None


def _count(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None
