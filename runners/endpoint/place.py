"""Where a launch of ours listens, and what answers there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.base.stream import fetch

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """One start, and under which name it serves the model."""

    port: int
    name: str
    scratch: Path
    """A folder with a short path, gone after the launch."""

    @property
    def root(self) -> str:
        return f"http://{HOST}:{self.port}"


async def page(place: Place, path: str, timeout_s: float) -> dict[str, Any] | None:
    """The JSON object of a page; None where the server has no such page, or is not ready.

    Raises:
        RequestError: nothing listens there.
    """
    reply = await fetch(f"{place.root}{path}", timeout_s=timeout_s)
    if reply.status != 200:
        return None
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


async def serves(place: Place, timeout_s: float) -> bool | None:
    """Whether what is healthy there serves the model under the name of this launch.

    Raises:
        RequestError: nothing listens there.
    """
    if (await fetch(f"{place.root}/health", timeout_s=timeout_s)).status != 200:
        return None
    listed = (await page(place, "/v1/models", timeout_s) or {}).get("data")
    models = listed if isinstance(listed, list) else []
    return any(isinstance(model, dict) and model.get("id") == place.name for model in models)
