"""Folders by which TGI speculates whatever it is told: Medusa heads, and MLP speculators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runners.base.contract import UsageError
from runners.base.packaging import CONFIG

HEADS = "medusa_num_heads"
BASE = "base_model_name_or_path"


def check_target(model: Path) -> None:
    """Raises:
    UsageError: it is no model, but heads: TGI would draft by them in every launch.
    """
    config = _config(model)
    if HEADS in config or config.get("model_type") == "mlp_speculator":
        raise UsageError(
            f"--model {model}: this folder holds heads that draft for another model, and TGI would "
            f"use them in plain decoding too; name them by --draft-model, and as --model the "
            f"{config.get(BASE, 'model that they were made for')!r:.200}"
        )


def check_heads(heads: Path, model: Path, draft_tokens: int) -> None:
    """Whether the heads draft so many tokens for this model.

    Raises:
        UsageError: they are none, fewer, or made for another model.
    """
    config = _config(heads)
    count = config.get(HEADS)
    if not isinstance(count, int):
        raise UsageError(f"--draft-model {heads}: its {CONFIG} has no {HEADS}: no Medusa heads")
    if draft_tokens > count:
        raise UsageError(f"--draft-model {heads}: its {count} heads draft {count} tokens at most")
    base = config.get(BASE)
    if not isinstance(base, str) or not _same(Path(base), model):
        raise UsageError(
            f"--draft-model {heads}: TGI takes the model from {BASE} in its {CONFIG}, and that is "
            f"{base!r:.200}, not --model: write {str(model.absolute())!r} there"
        )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _config(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
