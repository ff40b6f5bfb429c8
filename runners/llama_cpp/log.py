"""What a llama.cpp server's log says: why it did not start, what came of the drafts."""

from __future__ import annotations

import re
from pathlib import Path

from runners.base.process import log_tail


def why(log: Path) -> str | None:
    """The first and the last error that the server logged, cause and effect; None: no error."""
    lines = log_tail(log, lines=40).splitlines()
    errors = [match[1] for line in lines if (match := re.match(r"[\d.]+ E (.+)", line))]
    own = [line for line in errors if not line.startswith("srv")] or errors
    return "; ".join(dict.fromkeys(own[:1] + own[-1:])) or None
