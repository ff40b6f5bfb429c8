"""Where a session's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Spent:
    """Seconds so far, of what was cancelled too."""

    loading_s: float = 0.0
    """Starting runners, until each had answered its probe request."""
    waiting_s: float = 0.0
    """Waiting for tokens."""

    @contextmanager
    def loading(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.loading_s += time.perf_counter() - begun

    @contextmanager
    def waiting(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.waiting_s += time.perf_counter() - begun
