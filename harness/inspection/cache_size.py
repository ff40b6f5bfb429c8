"""What a cache of given types takes at a given context, by kind of layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from harness.models.cache import GROWING, CacheKind, CacheLayers
from harness.theory.ceiling import CACHE_TYPE_BYTES

BATCH = 512
"""llama.cpp's default `--ubatch-size`: a sliding layer keeps so many tokens beside its window."""
PADDING = 256
"""Cells that llama.cpp rounds a sliding layer's cache up to (src/llama-kv-cache-iswa.cpp)."""


class CacheRow(BaseModel):
    """All layers of one kind and window together. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    layers: int
    window: int | None
    """Tokens that the layers look back; None: all."""
    bytes_per_token: int
    read_bytes: int | None
    """What the next token's pass reads after `context` tokens; None: not known."""
    held_bytes: int | None
    """What the memory has to hold for `context` tokens of one sequence; None: not known."""


class CacheSize(BaseModel):
    """The whole cache of one sequence. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: int
    """Tokens."""
    key_type: str
    value_type: str
    rows: tuple[CacheRow, ...]
    bytes_per_token: int
    """By how much it grows with each token of a long context, once all windows are full."""
    read_bytes: int
    """At `context` tokens, MTP layers and states of unknown size left out."""
    held_bytes: int
    """For `context` tokens, those of MTP layers too, states of unknown size left out."""


def cache_size(
    layers: Sequence[CacheLayers],
    context: int,
    key_type: str,
    value_type: str,
    *,
    in_cells: bool = True,
) -> CacheSize:
    """The cache after `context` tokens of one sequence, its types named as in llama.cpp.

    `in_cells`: held as llama.cpp holds it, sliding layers with a batch beside their window;
    otherwise no more than the window.

    Raises:
        KeyError: an unknown cache type.
    """
    types = CACHE_TYPE_BYTES[key_type], CACHE_TYPE_BYTES[value_type]
    rows = tuple(_row(group, context, types, in_cells=in_cells) for group in layers)
    growing = {kind.value for kind in GROWING}
    return CacheSize(
        context=context,
        key_type=key_type,
        value_type=value_type,
        rows=rows,
        bytes_per_token=sum(row.bytes_per_token for row in rows if row.kind in growing),
        read_bytes=sum(row.read_bytes or 0 for row in rows if row.kind != CacheKind.MTP.value),
        held_bytes=sum(row.held_bytes or 0 for row in rows),
    )


def _row(
    group: CacheLayers, context: int, types: tuple[float, float], *, in_cells: bool
) -> CacheRow:
    per_token = math.ceil(group.keys * types[0] + group.values * types[1])
    seen = context if group.window is None else min(context, group.window)
    cells = seen
    if in_cells and group.window is not None:
        wanted = min(context, group.window + BATCH)
        cells = -(-wanted // PADDING) * PADDING
    state = group.state_bytes
    return CacheRow(
        kind=group.kind.value,
        layers=group.layers,
        window=group.window,
        bytes_per_token=per_token,
        read_bytes=None if state is None else per_token * seen + state,
        held_bytes=None if state is None else per_token * cells + state,
    )
