"""One tensor of a model folder, as the header of its file describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    name: str
    type: str
    """As safetensors calls it: 'BF16'."""
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)
