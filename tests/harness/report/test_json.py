"""The rows of a report as JSON."""

from __future__ import annotations

import json

import pytest

from harness.report.content import build_report
from harness.report.json import render
from tests.harness.report.hostile import hostile_run
from tests.harness.report.test_formats import ordinary_run
from tests.harness.runners import DRAFTED, MLX, MLX_DRAFTED, PLAIN, answers, parted, runners_run


def test_a_row_says_how_it_stands_beside_the_first_runner():
    arms = (PLAIN, DRAFTED, MLX)
    samples = [*answers(PLAIN), *answers(DRAFTED), *answers(MLX, tokens=parted(5))]
    first, alone, other = json.loads(render(build_report(runners_run(arms, samples))))
    assert [row["arm"]["id"] for row in (first, alone, other)] == [arm.id for arm in arms]
    assert first["side_by_side"]["ratio"] is first["side_by_side"]["text"] is None
    assert first["side_by_side"]["start_s"] == 1.0
    assert alone["side_by_side"] is None
    beside = other["side_by_side"]
    assert set(beside) == {"ratio", "text", "prompts", "start_s", "weights"}
    assert beside["ratio"]["value"] == pytest.approx(0.5, rel=0.05)
    assert (beside["text"]["verdict"], beside["text"]["differing"]) == ("different", 6)
    assert beside["prompts"]["compared"] == 2
    assert beside["weights"] == "BF16"


def test_each_setting_is_held_against_its_own_counterpart():
    rows = json.loads(render(build_report(runners_run())))
    found = {row["arm"]["id"]: row["side_by_side"] for row in rows}
    assert found[MLX_DRAFTED.id]["ratio"]["value"] == pytest.approx(60 / 140, rel=0.05)


@pytest.mark.parametrize("run", [ordinary_run(), hostile_run()])
def test_any_report_is_json(run):
    report = build_report(run)
    rows = json.loads(render(report))
    assert [row["arm"]["id"] for row in rows] == [row.arm.id for row in report.rows]
    assert all(row["side_by_side"] is None for row in rows)
