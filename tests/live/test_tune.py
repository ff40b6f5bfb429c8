"""`bench tune` on a real runner, against the exhaustive sweep of the same settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.analysis.summary import summarise
from harness.cli.__main__ import app
from harness.run_folder import RunData, read_run
from tests.live.builds import why_absent
from tests.models.export import Family

pytestmark = [pytest.mark.live, pytest.mark.slow]

GRID_ROUNDS = 5


def bench(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def seconds(run: RunData) -> float:
    return sum(session.wall_s for session in run.sessions)


def test_mtp_of_a_small_model_is_tuned_in_part_of_the_sweeps_time(
    family: Family, tmp_path: Path
) -> None:
    if (reason := why_absent("embedded")) is not None:
        pytest.skip(reason)
    settings = [
        *("--runner", "llama.cpp", "--model", family.qwen35_mtp, "--method", "mtp"),
        *("--draft-tokens", "1-6", "--workload", "coding", "--prompts", "4"),
        # One thread has nobody to wait for, which on a busy machine decides.
        *("--max-tokens", "128", "--runner-arg", "threads=1"),
    ]
    tuning, grid = tmp_path / "tuning", tmp_path / "grid"
    card = json.loads(bench("tune", *settings, "--out", tuning, "--json"))
    bench("sweep", *settings, "--repeats", str(GRID_ROUNDS), "--out", grid)
    (one,) = card["workloads"]
    swept = read_run(grid)
    found = {row.arm.id: row.speedup for row in summarise(swept) if row.speedup is not None}
    assert len(found) == 6
    best = max(found.values(), key=lambda speedup: speedup.value)
    assert best.interval is not None
    # What is recommended is inside the interval of the best, or above it: plain decoding is 1.
    picked = found[one["arm"]].value if one["arm"] in found else 1.0
    assert picked >= best.interval.low
    assert seconds(read_run(tuning)) <= 0.4 * seconds(swept)
