"""Where a launch of Ollama runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runners.base.process import Process
from runners.ollama.store import Store


@dataclass(frozen=True)
class Place:
    """What a launch runs in: all of it ours, or only the model in somebody's server."""

    address: str
    process: Process | None
    pid: int | None
    log: Path
    store: Store | None
