from __future__ import annotations

import pytest

from harness.analysis.doubt import Mark, count_marks, marks
from tests.harness.builders import make_arm, make_sample

STARVED = ((0.0, 1), (0.0, 64))
"""Two bursts, read at one moment."""


def sample(**changes):
    return make_sample(make_arm(), **changes)


def test_a_quiet_sample_has_no_mark():
    assert marks(sample()) == ()


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"cached_tokens": 3}, Mark.CACHED),
        ({"wall_s": 10.0, "machine_cpu_s": 23.1, "runner_cpu_s": 20.0}, Mark.BUSY),
        ({"decode_s": 0.8, "runner_decode_s": 1.0}, Mark.CLOCKS),
        ({"decode_s": 1.2, "runner_decode_s": 1.0}, Mark.CLOCKS),
        ({"decode_s": 0.0, "runner_decode_s": 1.0, "bursts": STARVED}, Mark.CLOCKS),
        ({"output_tokens": 7}, Mark.EARLY_STOP),
    ],
)
def test_each_doubt_is_marked(changes, mark):
    assert marks(sample(**changes)) == (mark,)


@pytest.mark.parametrize(
    "changes",
    [
        {"cached_tokens": None},
        {"wall_s": 10.0, "machine_cpu_s": 22.9, "runner_cpu_s": 20.0},
        {"machine_cpu_s": 99.0, "runner_cpu_s": None},
        {"machine_cpu_s": None},
        {"decode_s": 0.95, "runner_decode_s": 1.0},
        {"decode_s": 0.5, "runner_decode_s": None},
        {"decode_s": None, "runner_decode_s": 1.0},
        {"decode_s": 0.0, "runner_decode_s": 1.0, "bursts": STARVED[:1]},
        {"output_tokens": 8},
        {"output_tokens": None},
    ],
)
def test_what_is_unknown_or_within_bounds_raises_no_doubt(changes):
    assert marks(sample(**changes)) == ()


def test_marks_are_counted():
    doubtful = [sample(output_tokens=1), sample(output_tokens=2, cached_tokens=9), sample()]
    assert count_marks(doubtful) == {Mark.CACHED: 1, Mark.EARLY_STOP: 2}
