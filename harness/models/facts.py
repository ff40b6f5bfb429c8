"""What a model file says about the model: sizes, bytes per token, KV cache, MTP heads."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class ModelFileError(Exception):
    """The file is missing, is no model file, or is cut off; the text says which."""


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
    vocabulary: int
    training_context: int | None
    kv_bytes_per_token: int
    """At F16, over all layers that keep keys and values for the whole context."""
    experts: int | None = None
    experts_used: int | None = None
    mtp_layers: int = 0
    """Multi-token-prediction layers whose tensors really are in the file."""
    chat_template: bool = False


def read_facts(path: Path) -> ModelFacts:
    """Read a model's header.

    Raises:
        ModelFileError: missing, not a model file, or truncated.
    """
    raise NotImplementedError
