"""What docs/tune.md claims of tunings over several options."""

from __future__ import annotations

from benchmarks.free_options import LANDSCAPES, halving, ours
from benchmarks.tuning import PAGE


def test_few_launches_find_a_good_combination() -> None:
    """Of 120 to 360 settings each; halving of as many, drawn by chance, finds half of the best."""
    numbers = (0, 4, 5, 10)
    found = [ours(LANDSCAPES[n], 1000 * n + seed) for n in numbers for seed in (0, 1)]
    assert sum(one.is_good for one in found) >= 6
    assert sum(one.launches for one in found) <= 35 * len(found)


def test_halving_of_as_many_launches_no_more() -> None:
    assert halving(LANDSCAPES[0], 1, 30).launches <= 30
    assert halving(LANDSCAPES[0], 1).launches > 120


def test_each_landscape_is_in_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| {of.name} |" in page for of in LANDSCAPES)
