"""2,000 nights of the gate, over noise like that which was measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import nights
from benchmarks.nights import BEGIN, END, MEASURED, PAGE, draw, tally, tally_apart, trials_of
from harness.gate.decide import THRESHOLD

NIGHTS = 2000


def test_the_noise_is_that_of_the_machine_it_was_measured_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nights, "PROMPTS", 2)  # as in that run
    chance = np.random.default_rng(1)
    whole, neighbours, ratios = [], [], []
    for _ in range(200):
        logs = np.log(draw(MEASURED, 16, 0.0, chance))
        ratios.append((logs[:, 1] - logs[:, 0]).mean(axis=(1, 2)).std(ddof=1))
        in_turn = logs.reshape(-1)
        whole.append(in_turn.std())
        neighbours.append(np.diff(in_turn).std())
    assert np.mean(whole) == pytest.approx(0.103, abs=0.01)
    assert np.mean(neighbours) == pytest.approx(0.090, abs=0.01)
    assert np.mean(ratios) == pytest.approx(0.076, abs=0.01)


def test_a_change_is_the_candidate_s() -> None:
    quiet = MEASURED.scaled(0)
    night = draw(quiet, 6, -0.1, np.random.default_rng(1))
    assert night[:, 1] / night[:, 0] == pytest.approx(np.full((6, 2, 4), 0.9))
    (coding, prose) = trials_of(night, 4)
    assert coding[0].keys() == coding[1].keys() == {1, 2, 3, 4}
    assert coding[1][3]["p2"] == night[2, 1, 0, 2]
    assert prose[0][1]["p0"] == night[0, 0, 1, 0]


@pytest.mark.slow
def test_false_alarms_and_power_of_two_thousand_nights() -> None:
    same = tally(MEASURED, NIGHTS, 0.0)
    assert same.regressed <= 0.01 * NIGHTS
    slower = tally(MEASURED, NIGHTS, -2 * THRESHOLD)
    assert slower.regressed >= 0.95 * NIGHTS


@pytest.mark.slow
def test_where_every_night_loses_all_that_is_allowed_the_error_rate_still_holds() -> None:
    """The worst case: the truth lies on the threshold itself."""
    found = tally(MEASURED.scaled(0.25), NIGHTS, -THRESHOLD)
    assert found.regressed <= 0.02 * NIGHTS  # 1% of decode rates, 1% of all the rest


@pytest.mark.slow
def test_last_night_s_baseline_raises_false_alarms() -> None:
    """Or there would be no need to measure both in one run."""
    assert tally_apart(MEASURED, 500, 0.0, rounds=40).regressed > 0.01 * 500


def test_the_page_has_a_table_of_every_kind() -> None:
    text = PAGE.read_text("utf-8")
    found = text[text.index(BEGIN) : text.index(END)]
    for name, _ in nights.NOISES:
        assert f"| {name} | default (" in found
    assert "| as measured, two nights | 40 |" in found
