"""What a model keeps of its context, by kind of layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

F16_BYTES = 2


class CacheKind(Enum):
    """How a layer's cache grows with the context; the value is how a table says it."""

    FULL = "full attention"
    SLIDING = "sliding window"
    LATENT = "latent attention (MLA)"
    INDEXER = "indexer of sparse attention"
    SHARED = "shares another layer's"
    RECURRENT = "recurrent state"
    MTP = "MTP layer"


GROWING = frozenset({CacheKind.FULL, CacheKind.LATENT, CacheKind.INDEXER})
"""Kinds that keep every token, and are read as a whole for the next one."""


@dataclass(frozen=True)
class CacheLayers:
    """All layers of one kind and window together."""

    kind: CacheKind
    layers: int
    keys: int = 0
    """Elements kept of one token, in the type of the cache's keys; `values` in that of values."""
    values: int = 0
    window: int | None = None
    """Tokens that a sliding layer looks back."""
    state_bytes: int | None = 0
    """Of recurrent layers, for one sequence, however long it is; None: not known."""


def grouped(layers: Iterable[CacheLayers]) -> tuple[CacheLayers, ...]:
    """Layers of one kind and window as one, in the order of `CacheKind`."""
    groups: dict[tuple[CacheKind, int | None], CacheLayers] = {}
    for layer in layers:
        key = (layer.kind, layer.window)
        had = groups.get(key)
        groups[key] = layer if had is None else _sum(had, layer)
    order = list(CacheKind)
    return tuple(sorted(groups.values(), key=lambda g: (order.index(g.kind), g.window or 0)))


def growth_at_f16(layers: Iterable[CacheLayers]) -> int:
    """Bytes by which the cache grows with each token of a long context, at F16."""
    return F16_BYTES * sum(g.keys + g.values for g in layers if g.kind in GROWING)


def _sum(one: CacheLayers, other: CacheLayers) -> CacheLayers:
    states = (one.state_bytes, other.state_bytes)
    return CacheLayers(
        one.kind,
        one.layers + other.layers,
        one.keys + other.keys,
        one.values + other.values,
        one.window,
        None if states[0] is None or states[1] is None else states[0] + states[1],
    )
