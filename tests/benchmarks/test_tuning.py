"""The simulated tunings that docs/tune.md tells of."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.tuning import (
    BEGIN,
    END,
    LANDSCAPES,
    PAGE,
    SEEDS,
    run,
    table,
    tune,
    with_table,
)


@pytest.mark.slow
def test_the_best_is_found_in_a_third_of_the_time() -> None:
    found = list(run())
    results = [result for _, own in found for result in own]
    assert len(results) == len(LANDSCAPES) * SEEDS == 200
    assert sum(result.is_good for result in results) >= 0.95 * len(results)
    assert statistics.fmean(result.share for result in results) <= 0.30
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, table(found)), "run: make tuning"


def test_a_tuning_is_the_same_each_time() -> None:
    assert tune(LANDSCAPES[0], 3) == tune(LANDSCAPES[0], 3)
    assert tune(LANDSCAPES[0], 3) != tune(LANDSCAPES[0], 4)


def test_the_table_takes_the_place_of_the_old_one() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_each_landscape_has_a_name_of_its_own() -> None:
    assert len({landscape.name for landscape in LANDSCAPES}) == len(LANDSCAPES)
