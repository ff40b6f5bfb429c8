"""One run, loaded: all that the analysis reads."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records import Launch, Manifest, Sample, Session


@dataclass(frozen=True)
class RunData:
    """The contents of a run's folder. `samples` are the truth; nothing here is derived."""

    manifest: Manifest
    launches: tuple[Launch, ...]
    samples: tuple[Sample, ...]
    sessions: tuple[Session, ...]
