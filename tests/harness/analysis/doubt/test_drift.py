from __future__ import annotations

import random

import pytest

from harness.analysis.doubt.drift import find_drift, words
from harness.analysis.doubt.judge import run_doubts
from tests.harness.builders import make_arm, make_run, make_samples

PLAIN = make_arm()
NGRAM = make_arm("ngram-mod", 4)
PROMPTS = ("p1", "p2")


def run_with(rates, arm=PLAIN):
    """A round for each rate; the second prompt is three times as fast."""
    values = [rate * speed for rate in rates for speed in (1, 3)]
    return make_run([PLAIN, NGRAM], make_samples(arm, values, prompts=PROMPTS))


def drift_of(rates, arm=PLAIN):
    run = run_with(rates, arm)
    return find_drift(run.manifest, run.samples)


def test_a_machine_that_slows_down_is_found_and_said() -> None:
    run = run_with([100 * 0.99**number for number in range(13)])
    found = find_drift(run.manifest, run.samples)
    assert found is not None
    assert (found.first, found.last) == (1, 13)
    assert found.change == pytest.approx(0.99**12 - 1)
    assert words(found) == (
        "The machine became 11% slower from round 1 to 13: tok/s of different rounds are not "
        "alike; speed-ups are paired, and hold."
    )
    assert run_doubts(run.manifest, run.samples) == (words(found),)


def test_a_machine_that_speeds_up_drifts_too() -> None:
    found = drift_of([100 + 2 * number for number in range(8)])
    assert found is not None
    assert "14% faster" in words(found)


@pytest.mark.parametrize(
    "rates",
    [
        [100 - 4 * number for number in range(5)],  # too few rounds
        [100 - 0.9 * number for number in range(6)],  # 4.5%
        [80, 100, 99, 101, 100, 99, 100, 101],  # one bad round
        [100, 90] * 6,  # up and down
        [],
    ],
)
def test_what_is_short_small_or_no_trend_is_no_drift(rates) -> None:
    assert drift_of(rates) is None


def test_only_plain_decoding_is_looked_at() -> None:
    assert drift_of([100 - 4 * number for number in range(10)], NGRAM) is None


def test_noise_is_seldom_called_a_drift() -> None:
    noise = random.Random(7)
    found = sum(
        drift_of([100 * noise.gauss(1, 0.08) for _ in range(8)]) is not None for _ in range(300)
    )
    assert found <= 6


def test_a_round_that_lacks_a_prompt_does_not_look_slower() -> None:
    run = run_with([100.0] * 8)
    kept = [s for s in run.samples if s.prompt == "p1" or s.round < 5]
    assert find_drift(run.manifest, kept) is None
