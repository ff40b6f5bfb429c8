"""What a version of Ollama can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


@dataclass(frozen=True)
class Version:
    """As it says itself, e.g. '0.33.0-rc2'."""

    text: str

    def at_least(self, major: int, minor: int, patch: int = 0) -> bool:
        """True of a build from source as well: it says 0.0.0, and is taken for a new one."""
        found = _NUMBERS.match(self.text)
        numbers = (0, 0, 0) if found is None else tuple(int(part or 0) for part in found.groups())
        return numbers == (0, 0, 0) or numbers >= (major, minor, patch)

    @property
    def imports_files(self) -> bool:
        """Whether /api/create takes files."""
        return self.at_least(0, 5, 5)

    @property
    def runs_llama_server(self) -> bool:
        """Whether GGUF models run in a llama-server of its own, which alone can speculate."""
        return self.at_least(0, 30)
