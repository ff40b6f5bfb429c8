"""What a vLLM's log says: the way of speculating that it chose, and why it ended."""

from __future__ import annotations

import re
from pathlib import Path

from runners.base.failure import Manner, first_error, read_end

_MANNER = Manner(
    # '(Worker_TP0 pid=31) ERROR 11-22 13:20:49 [core.py:1512] ' and what of it there is.
    prefix=re.compile(
        r"^(?:\([\w-]+(?: \w+=\d+)+\) )?(?:(?:ERROR|CRITICAL) \d\d-\d\d [\d:.]+ \[[^\]]*\] ?)?"
    ),
    vague=(
        "Engine core initialization failed",
        "EngineCore encountered an issue",
        "Engine core proc",
        "WorkerProc initialization failed",
        "Worker failed with error",
        "Executor failed",
        "cancelled",
    ),
    plainly={
        "Unsupported speculative method: 'mtp'": (
            "vLLM finds no MTP heads in the model's config.json"
        )
    },
)
_CHOSEN = re.compile(
    r"speculative_config=SpeculativeConfig\(method='(\w+)'.*?num_spec(?:ulative)?_tokens=(\d+)"
)


def method_of(log: Path) -> tuple[str, int] | None:
    """The method that vLLM chose, in its own words, and its draft length; None: no speculation."""
    found = _CHOSEN.search(read_end(log))
    return None if found is None else (found[1], int(found[2]))


def why(log: Path, since: int = 0) -> str | None:
    """The error that ended it: the first after `since` bytes that says more than that it did.

    None where the log tells of none.
    """
    return first_error(read_end(log, since), _MANNER)
