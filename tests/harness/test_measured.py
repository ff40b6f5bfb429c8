from __future__ import annotations

import inspect

from harness.measured import BareSample, Measured, bare
from tests.harness.builders import make_arm, make_sample


def test_a_bare_sample_says_what_the_whole_one_says() -> None:
    sample = make_sample(make_arm("mtp", 3), text="words", steps=9, drafted=27, accepted=14)
    found = bare(sample)
    assert {name: getattr(found, name) for name in BareSample._fields} == {
        name: getattr(sample, name) for name in BareSample._fields
    }
    assert found.key == sample.key


def test_it_has_all_that_figures_are_made_of() -> None:
    named = {name for name, value in inspect.getmembers(Measured) if isinstance(value, property)}
    assert named == {*BareSample._fields, "key"}
