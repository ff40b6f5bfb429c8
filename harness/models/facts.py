"""What a model file says about the model: sizes, bytes per token, KV cache, MTP heads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
    vocabulary: int
    training_context: int | None
    kv_bytes_per_token: int
    """At F16, over all layers that keep keys and values for the whole context."""
    experts: int | None = None
    experts_used: int | None = None
    expert_bytes: int = 0
    """Bytes of all routed experts together, of which `active_bytes` counts the used share."""
    mtp_layers: int = 0
    """Multi-token-prediction layers whose tensors really are in the file."""
    mtp_active_bytes: int = 0
    """Bytes that drafting one token with an MTP layer reads, the output matrix included."""
    chat_template: bool = False
