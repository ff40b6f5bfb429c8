"""The checkpoint's tensors, and how a Qwen3 layer is written as one of Qwen3.5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tests.models.shape import Shape

Array = NDArray[np.float32]
Weights = Mapping[str, Array]


def read_weights(path: Path) -> dict[str, dict[str, Array]]:
    """'target', 'mtp' and 'draft', each with its tensors by name; rows are outputs."""
    parts: dict[str, dict[str, Array]] = {}
    for name, tensor in load_file(path).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor.astype(np.float32)
    return parts


def gated(weights: Weights, shape: Shape) -> dict[str, Array]:
    """The same layers with Qwen3.5's output gate, which is kept at one half.

    Each head's rows of q_proj are followed by its gate's, all zero: sigmoid(0) = 0.5, which
    doubling o_proj takes back. Both are exact in floating point.
    """
    changed = dict(weights)
    for name, tensor in weights.items():
        if name.endswith("q_proj.weight"):
            queries = tensor.reshape(shape.heads, shape.head, shape.hidden)
            both = np.concatenate((queries, np.zeros_like(queries)), axis=1)
            changed[name] = both.reshape(-1, shape.hidden)
        elif name.endswith("o_proj.weight"):
            changed[name] = tensor * 2
    return changed
