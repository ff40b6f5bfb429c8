"""Where a session's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.run_folder import RunData

CLOCK_S = 1.0
"""By how much times that were told by two clocks may differ."""


def spent_s(run: RunData) -> float:
    """Seconds that measuring took so far.

    A session that was killed has left no record of itself: of it count the launches and requests
    that lie in no other session, which is the least that it took.
    """
    sessions = [(begun, s.wall_s) for s in run.sessions if (begun := _time(s.started_at))]

    def is_counted(started_at: str) -> bool:
        at = _time(started_at)
        slack = timedelta(seconds=CLOCK_S)
        return at is None or any(
            begun - slack <= at <= begun + timedelta(seconds=wall_s) + slack
            for begun, wall_s in sessions
        )

    return (
        sum(session.wall_s for session in run.sessions)
        + sum(o.start_s + o.warmup_s for o in run.launches if not is_counted(o.started_at))
        + sum(sample.wall_s for sample in run.samples if not is_counted(sample.started_at))
    )


def _time(text: str) -> datetime | None:
    """None of what is no time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


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
