"""What a model file says about the model: sizes, bytes per token, KV cache, MTP heads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DrafterFacts(BaseModel):
    """What a file says of a model that can do nothing but draft for another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_layers: tuple[int, ...] | None = None
    """Layers of the target whose hidden states it reads; none: the last state, after the final
    norm. None where the file does not say. In a folder, a layer's number counts the layers up to
    it: 0 is the embedding."""
    target_states: int | None = None
    """EAGLE-3 in a folder: hidden states that it joins, one of each layer."""
    target_width: int | None = None
    """Length of those hidden states; None where the file does not say."""
    shares_output: bool = False
    """In a folder: it has no output matrix and works with its target's."""
    heads: int | None = None
    """Medusa: its heads, each of which drafts one token."""
    block_size: int | None = None
    """Tokens of the block that it was trained on, the last accepted token's included."""
    markov_head: bool = False
    """DSpark: each token of a block also depends on the one before it."""
    anchor_first: bool = True
    """DSpark: the place of the last accepted token drafts too: a whole block comes of it."""


class ModelFacts(BaseModel):
    """Facts of one model, read from its header alone. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    architecture: str
    name: str | None
    quantization: str | None
    """'Q4_1'; None where the file does not say."""
    parameters: int
    tensor_bytes: int
    active_bytes: int
    """Bytes of weights that one token's forward pass reads (MoE: the chosen experts)."""
    layers: int
    """MTP layers not counted."""
    width: int | None = None
    """Length of a hidden state (the embedding length); None where the file does not say."""
    vocabulary: int
    training_context: int | None
    kv_bytes_per_token: int | None
    """At F16, over all layers that keep keys and values for the whole context; None: unknown."""
    experts: int | None = None
    experts_used: int | None = None
    expert_bytes: int = 0
    """Bytes of all routed experts together, of which `active_bytes` counts the used share."""
    mtp_layers: int = 0
    """Multi-token-prediction layers whose tensors really are in the file."""
    mtp_declared: int = 0
    """Multi-token-prediction layers that the metadata names, whether or not they are there."""
    mtp_only: bool = False
    """The file holds MTP heads without the model that they belong to."""
    mtp_active_bytes: int = 0
    """Bytes that drafting one token with an MTP layer reads, the output matrix included."""
    output_bytes: int = 0
    """In a folder: bytes of the output matrix, which a tied embedding is too; 0: not known."""
    chat_template: bool = False
    drafter: DrafterFacts | None = None
    """Only of an architecture that drafts for another model: eagle, eagle3, medusa, dflash."""

    @property
    def drafts_blocks(self) -> bool:
        """Whether one pass drafts all tokens of a draft: Medusa's heads, a block of DFlash."""
        return self.drafter is not None and self.architecture in {"medusa", "dflash"}

    def drafting_bytes(self, target: ModelFacts | None) -> int:
        """Weights that one pass reads when it drafts for `target`, whose output matrix it may
        share."""
        shares = self.drafter is not None and self.drafter.shares_output
        return self.active_bytes + (target.output_bytes if shares and target is not None else 0)
