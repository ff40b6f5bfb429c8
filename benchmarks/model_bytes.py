"""A model's bytes, counted from its architecture alone: no file, and none of harness.models.

An independent count for benchmarks/validation.py. Matrices are in the type that the publication
names, norms, routers and biases in F32; a block's size is the gguf package's.
"""

from __future__ import annotations

from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType


@dataclass(frozen=True)
class Architecture:
    """The shape of a transformer with gated feed-forward layers, and how it is stored."""

    name: str
    gb: float
    """What the publication says that one token reads."""
    of: str
    """'file': all tensors; 'active': what decoding a token reads."""
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    """Width of the feed-forward layer, or of one expert."""
    vocabulary: int
    type: str
    output_type: str | None = None
    more_bits_type: str | None = None
    qkv_biases: bool = False
    experts: int = 0
    experts_used: int = 0
    expert_type: str | None = None

    @property
    def file_bytes(self) -> float:
        """All tensors."""
        return self._outside() + self._embedding() + self._layers(max(1, self.experts))

    @property
    def active_bytes(self) -> float:
        """What one token reads: of the embedding one row, of the experts the chosen ones."""
        return self._outside() + self._layers(max(1, self.experts_used))

    @property
    def expert_bytes(self) -> float:
        """All routed experts."""
        return self._layers(self.experts) - self._layers(0) if self.experts else 0

    def bytes_as_published(self) -> float:
        return self.file_bytes if self.of == "file" else self.active_bytes

    def _embedding(self) -> float:
        return self.vocabulary * self.width * bytes_of(self.type)

    def _outside(self) -> float:
        """The output matrix and its norm."""
        matrix = self.vocabulary * self.width * bytes_of(self.output_type or self.type)
        return matrix + self.width * bytes_of("F32")

    def _layers(self, experts: int) -> float:
        """All layers, with so many experts (1: a dense one's feed-forward layer)."""
        return sum(self._layer(number, experts) for number in range(self.layers))

    def _layer(self, number: int, experts: int) -> float:
        wide = self.type
        if self.more_bits_type is not None and has_more_bits(number, self.layers):
            wide = self.more_bits_type
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        attention = self.width * (2 * queries + keys) * bytes_of(self.type)  # q, o, k
        attention += self.width * keys * bytes_of(wide)  # v
        small = 2 * self.width  # norms
        if self.qkv_biases:
            small += queries + 2 * keys
        if self.experts:
            small += self.width * self.experts  # the router
        matrix = self.width * self.inner
        inner_type = self.expert_type or self.type
        down_type = self.expert_type or wide
        inner = matrix * (2 * bytes_of(inner_type) + bytes_of(down_type))
        return attention + small * bytes_of("F32") + experts * inner


def bytes_of(type_name: str) -> float:
    """Bytes of one element in a ggml type."""
    elements, block = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    return block / elements


def has_more_bits(layer: int, layers: int) -> bool:
    """Whether a K quant of size M stores this layer's v and down matrices in the larger type.

    llama.cpp, src/llama-quant.cpp, use_more_bits.
    """
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
