"""Whether a way of speculating can work with these model files.

A runner declares what a method needs; here that is held against what the files say. Reasons are
sentences for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.models.errors import printable
from harness.models.facts import DrafterFacts
from harness.models.read import ModelFile
from harness.models.tokenizer_json import MOST_DIFFERENCE
from harness.models.vocabulary import difference
from runners.base.support import MethodSupport, Need

EAGLE3_LAYERS = 3
"""Layers of the target that llama.cpp has an EAGLE-3 draft read, neither more nor less."""

NAMED_ALIKE = frozenset({"eagle", "eagle3", "medusa"})
"""Architectures that draft by the method of their name."""

GGUF = "GGUF"
"""What `ModelFacts.format` says of a file of llama.cpp's; all else lies in a folder."""


@dataclass(frozen=True)
class Files:
    """The model files of one arm."""

    target: ModelFile
    draft: ModelFile | None = None

    @property
    def target_name(self) -> str:
        return _name(self.target)

    @property
    def draft_name(self) -> str:
        return "" if self.draft is None else _name(self.draft)


def reason_against(support: MethodSupport, files: Files) -> str | None:
    """Why a method cannot work with these files; None where nothing speaks against it.

    Raises:
        ModelFileError: a file cannot be read any more.
    """
    if not support.supported:
        note = f": {support.note}" if support.note else ""
        return f"this build of the runner cannot speculate by {support.method}{note}"
    for need in support.needs:
        if (reason := _CHECKS[need](files, need)) is not None:
            return reason
    return None


def _mtp_heads(files: Files, need: Need) -> str | None:
    if files.draft is not None:
        facts = files.draft.facts
        if facts.mtp_only or facts.mtp_layers:
            return None
        return f"{files.draft_name} holds no MTP heads"
    facts = files.target.facts
    if facts.mtp_layers:
        return None
    if facts.mtp_declared:
        layers = "1 MTP layer" if facts.mtp_declared == 1 else f"{facts.mtp_declared} MTP layers"
        named = ": config.json names" if facts.format != GGUF else " names"
        return (
            f"{files.target_name}{named} {layers}, but its heads were stripped: none of their "
            f"tensors is there; needed is {need.value}"
        )
    return f"{files.target_name} holds no MTP heads; needed is {need.value}"


def _draft_model(files: Files, need: Need) -> str | None:
    if files.draft is None:
        return _lacking(need)
    if (method := drafts_by(files.draft)) is not None:
        return f"{files.draft_name} is no whole model: it drafts by --method {method}"
    reason = difference(files.target.vocabulary, files.draft.vocabulary)
    if reason is not None:
        return f"{files.draft_name} has another vocabulary than {files.target_name}: {reason}"
    return None


def _equal_sizes(files: Files, need: Need) -> str | None:
    """vLLM's rule (`verify_equal_vocab_size_if_draft_model` in config/speculative.py)."""
    if files.draft is None:
        return _lacking(need)
    sizes = (files.draft.facts.vocabulary, files.target.facts.vocabulary)
    if 0 in sizes or sizes[0] == sizes[1]:
        return None
    return (
        f"{files.draft_name} has a vocabulary of {sizes[0]:,} (vocab_size in config.json), "
        f"{files.target_name} of {sizes[1]:,}; needed is {need.value}"
    )


def _state_drafter(architecture: str) -> Callable[[Files, Need], str | None]:
    """EAGLE or Medusa: of the target they read the last hidden state alone."""

    def check(files: Files, need: Need) -> str | None:
        reason, drafter = _drafter(files, need, architecture)
        return reason if drafter is None else _other_target(files, drafter)

    return check


def _eagle3_draft(files: Files, need: Need) -> str | None:
    reason, drafter = _drafter(files, need, "eagle3")
    if drafter is None or files.draft is None:
        return reason
    if files.draft.facts.format != GGUF:
        return _other_target(files, drafter) or _too_few_layers(files, drafter)
    if len(drafter.target_layers or ()) != EAGLE3_LAYERS:
        return (
            f"{files.draft_name} names {len(drafter.target_layers or ())} layers of its target in "
            f"eagle3.target_layers, not {EAGLE3_LAYERS}"
        )
    if drafter.target_width is None:
        return f"{files.draft_name} lacks the key eagle3.target_hidden_size"
    return _other_target(files, drafter)


def _too_few_layers(files: Files, drafter: DrafterFacts) -> str | None:
    """Fewer hidden states than the head joins: vLLM starts, and dies at its first request.

    A layer that is named twice gives one state (`_set_aux_hidden_state_layers` in
    model_executor/models/interfaces.py, vLLM 0.32).
    """
    depth = files.target.facts.layers
    layers = drafter.target_layers
    if drafter.target_states is None or (layers is None and not depth):
        return None
    read = default_layers(depth) if layers is None else layers
    found = {layer for layer in read if 0 <= layer <= depth}
    if len(found) == drafter.target_states:
        return None
    numbers = ", ".join(str(layer) for layer in read)
    if layers is None:
        named = (
            f"does not name the layers of its target, and those read by default of "
            f"{files.target_name}, which has {depth}, are {numbers}"
        )
    else:
        named = f"names the layers {numbers} of its target"
    return f"{files.draft_name} {named}: {len(found)} different, it needs {drafter.target_states}"


def default_layers(depth: int) -> tuple[int, ...]:
    """What vLLM takes where an EAGLE-3 head names no layers of a target of `depth` layers.

    `get_eagle3_default_aux_hidden_state_layers` in model_executor/models/interfaces.py.
    """
    return (2, depth // 2, depth - 3)


def _dflash_draft(files: Files, need: Need) -> str | None:
    reason, drafter = _drafter(files, need, "dflash")
    if drafter is None:
        return reason
    if drafter.markov_head:
        return f"{files.draft_name} has a Markov head: it drafts by --method dspark"
    return _other_target(files, drafter)


def _dspark_draft(files: Files, need: Need) -> str | None:
    reason, drafter = _drafter(files, need, "dflash")
    if drafter is None:
        return reason
    if not drafter.markov_head:
        return (
            f"{files.draft_name} has no Markov head (markov_w1.weight): it drafts by "
            "--method dflash"
        )
    return _other_target(files, drafter)


_CHECKS: Mapping[Need, Callable[[Files, Need], str | None]] = {
    Need.MTP_HEADS: _mtp_heads,
    Need.DRAFT_MODEL: _draft_model,
    Need.EQUAL_SIZES: _equal_sizes,
    Need.EAGLE_DRAFT: _state_drafter("eagle"),
    Need.MEDUSA_HEADS: _state_drafter("medusa"),
    Need.EAGLE3_DRAFT: _eagle3_draft,
    Need.DFLASH_DRAFT: _dflash_draft,
    Need.DSPARK_DRAFT: _dspark_draft,
}


def _drafter(files: Files, need: Need, architecture: str) -> tuple[str | None, DrafterFacts | None]:
    """The draft's facts where it is of the architecture and says whose layers it reads."""
    if files.draft is None:
        return _lacking(need), None
    facts = files.draft.facts
    if facts.architecture != architecture or facts.drafter is None:
        return (
            f"{files.draft_name} is of the architecture {facts.architecture!r:.40}, "
            f"not {architecture!r}; needed is {need.value}"
        ), None
    if facts.drafter.target_layers is None and facts.format == GGUF:
        return f"{files.draft_name} lacks the key {architecture}.target_layers", None
    return None, facts.drafter


def _other_target(files: Files, drafter: DrafterFacts) -> str | None:
    """A draft that reads hidden states of a length, or layers, that the target does not have."""
    target = files.target.facts
    widths = (drafter.target_width, target.width)
    if None not in widths and drafter.target_width != target.width:
        return (
            f"{files.draft_name} was made for another target: it reads hidden states of "
            f"{drafter.target_width} numbers, those of {files.target_name} have {target.width}"
        )
    last = max(drafter.target_layers or (0,))
    deepest = target.layers + (0 if target.format != GGUF else target.mtp_declared)
    if last > deepest:
        return (
            f"{files.draft_name} was made for another target: it reads layer {last}, "
            f"{files.target_name} has {target.layers}"
        )
    return _other_tokens(files)


def _other_tokens(files: Files) -> str | None:
    """Of a drafter in a folder, which has no tokens of its own: at least as many as the target.

    The same width and depth do not make it the same target. Up to padding, that is.
    """
    if files.draft is None or files.draft.facts.format == GGUF:
        return None
    sizes = (files.draft.facts.vocabulary, files.target.facts.vocabulary)
    if 0 in sizes or abs(sizes[0] - sizes[1]) <= MOST_DIFFERENCE:
        return None
    return (
        f"{files.draft_name} was made for another target: for a vocabulary of {sizes[0]:,}, "
        f"that of {files.target_name} has {sizes[1]:,}"
    )


def _lacking(need: Need) -> str:
    return f"no --draft-model is given; needed is {need.value}"


def drafts_by(draft: ModelFile) -> str | None:
    """The method of a file that is no model of its own; None for one that is."""
    facts = draft.facts
    if facts.mtp_only:
        return "mtp"
    if facts.drafter is None:
        return None
    if facts.architecture in NAMED_ALIKE:
        return facts.architecture
    return "dspark" if facts.drafter.markov_head else "dflash"


def _name(model: ModelFile) -> str:
    """The file's name alone: the folder is the same for all and would hide it."""
    return printable(model.path.name)
