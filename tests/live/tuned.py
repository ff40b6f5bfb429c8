"""A tuning held against the exhaustive sweep of the same settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from harness.analysis.summary import summarise
from harness.cli.__main__ import app
from harness.run_folder import RunData, read_run
from harness.tune.search import GRID_ROUNDS


@dataclass(frozen=True)
class Held:
    """What came of both, of one workload."""

    answer: dict[str, Any]
    """The card's for the workload."""
    settings: int
    """In the sweep, plain decoding not counted."""
    picked: float
    """The speed-up in the sweep of what the tuning recommends; plain decoding's is 1."""
    best: float
    """The highest in the sweep …"""
    best_low: float
    """… and the low end of its interval."""
    share: float
    """The tuning's time / the sweep's."""
    requests_share: float
    """The tuning's requests / the sweep's."""


def tuned_and_swept(settings: Sequence[str | Path], folder: Path) -> Held:
    """Tune over `settings`, which have one workload, and sweep them all."""
    tuning, grid = folder / "tuning", folder / "grid"
    card = json.loads(_bench("tune", *settings, "--out", tuning, "--json"))
    _bench("sweep", *settings, "--repeats", str(GRID_ROUNDS), "--out", grid)
    (one,) = card["workloads"]
    tuned, swept = read_run(tuning), read_run(grid)
    found = {row.arm.id: row.speedup for row in summarise(swept) if row.speedup is not None}
    best = max(found.values(), key=lambda speedup: speedup.value)
    assert best.interval is not None
    return Held(
        answer=one,
        settings=len(found),
        picked=found[one["arm"]].value if one["arm"] in found else 1.0,
        best=best.value,
        best_low=best.interval.low,
        share=_seconds(tuned) / _seconds(swept),
        requests_share=len(tuned.samples) / len(swept.samples),
    )


def _bench(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def _seconds(run: RunData) -> float:
    return sum(session.wall_s for session in run.sessions)
