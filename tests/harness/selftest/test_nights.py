from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.selftest.nights import MOST_NIGHTS, Nights, Trial, relabel


def trial(logs: list[float], prompts: int = 1) -> Trial:
    """A baseline of 100 tok/s and a candidate whose rounds are off by so much."""
    names = [f"p{number}" for number in range(prompts)]
    return (
        {n: dict.fromkeys(names, 100.0) for n in range(1, len(logs) + 1)},
        {n: dict.fromkeys(names, 100 * math.exp(x)) for n, x in enumerate(logs, start=1)},
    )


def test_every_way_of_labelling_few_rounds() -> None:
    # Of 2^4 labellings only those with all of one sign are without any doubt.
    found = relabel([trial([0.5, 0.5, 0.5, 0.5])], 0.05, seed=1)
    assert found == Nights(count=16, is_all=True, regressed=1, inconclusive=14, faster=1)
    assert found.false_alarms == 1 / 16


def test_a_draw_of_the_ways_of_labelling_many_rounds() -> None:
    drawing = random.Random(3)
    noise = [drawing.gauss(0, 0.03) for _ in range(12)]
    one, again = (relabel([trial(noise)], 0.05, seed=5) for _ in range(2))
    assert one == again
    assert (one.count, one.is_all) == (MOST_NIGHTS, False)
    assert relabel([trial(noise)], 0.05, seed=6) != one
    assert one.regressed == 0


def test_a_round_is_swapped_in_all_trials_at_once() -> None:
    # The second trial is the first turned round: whatever the labels, one of the two is slower.
    logs = [0.5, 0.5, 0.5, 0.5]
    found = relabel([trial(logs), trial([-x for x in logs])], 0.05, seed=1)
    assert (found.regressed, found.faster) == (2, 2)


def test_rounds_that_one_side_lacks() -> None:
    baseline, candidate = trial([0.1, -0.1, 0.1, -0.1])
    whole = {n: one for n, one in candidate.items() if n != 2}
    found = relabel([(baseline, whole)], 0.05, seed=1)
    assert found.count == 16


@pytest.mark.parametrize("trials", [[], [({}, {})]])
def test_nothing_to_label(trials: list[Trial]) -> None:
    found = relabel(trials, 0.05, seed=1)
    assert found.regressed == 0
    assert found.false_alarms == 0
    assert found.count == len(trials)


@settings(max_examples=25, deadline=None)
@given(logs=st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=6), threshold=st.floats(0.02, 0.4))
def test_whichever_label_is_called_the_candidate(logs: list[float], threshold: float) -> None:
    one, other = trial(logs, prompts=2)
    assert relabel([(one, other)], threshold, 1) == relabel([(other, one)], threshold, 1)
    found = relabel([(one, other)], threshold, 1)
    assert found.count == 2 ** len(logs)
    assert found.regressed + found.inconclusive <= found.count
    # To be slower by more than the threshold under one labelling is to be faster under another.
    assert found.regressed <= found.faster
