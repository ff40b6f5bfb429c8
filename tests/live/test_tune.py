"""`bench tune` on a real runner, against the exhaustive sweep of the same settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tuning_live import DEMO_LOOKUPS, TINY_MTP, tuned_and_swept
from harness.defaults import ADVICE, demo_model
from tests.live.builds import why_absent
from tests.models.export import Family

pytestmark = [pytest.mark.live, pytest.mark.slow]

MOST_REQUESTS = 0.6
"""Of the sweep's that a tuning makes; a machine at rest lets it end much sooner (docs/tune.md)."""


@pytest.fixture
def demo() -> Path:
    """The demo model's file."""
    if (reason := why_absent("embedded")) is not None:
        pytest.skip(reason)
    file = demo_model()
    if file is None:
        pytest.skip(ADVICE)
    return file


@pytest.mark.alone
def test_mtp_of_a_small_model_is_tuned_in_part_of_the_sweeps_requests(
    family: Family, tmp_path: Path
) -> None:
    if (reason := why_absent("embedded")) is not None:
        pytest.skip(reason)
    found = tuned_and_swept(["--model", family.qwen35_mtp, *TINY_MTP], tmp_path)
    assert found.settings == 6
    # What is recommended is inside the interval of the best, or above it: plain decoding is 1.
    assert found.picked >= found.best_low
    assert found.requests_share <= MOST_REQUESTS


@pytest.mark.alone
def test_lookups_of_the_demo_model_are_tuned_in_part_of_the_sweeps_requests(
    demo: Path, tmp_path: Path
) -> None:
    found = tuned_and_swept(["--model", demo, *DEMO_LOOKUPS], tmp_path)
    assert found.settings == 8
    assert found.picked >= found.best_low
    assert found.requests_share <= MOST_REQUESTS
