from __future__ import annotations

from typing import get_type_hints

from harness.measured import BareSample, bare
from harness.records import Sample
from tests.harness.builders import make_arm, make_sample


def test_a_bare_sample_says_what_the_whole_one_says() -> None:
    sample = make_sample(make_arm("mtp", 3), text="words", steps=9, drafted=27, accepted=14)
    found = bare(sample)
    assert {name: getattr(found, name) for name in BareSample._fields} == {
        name: getattr(sample, name) for name in BareSample._fields
    }
    assert found.key == sample.key


def test_its_fields_are_those_of_a_whole_one() -> None:
    of_sample = get_type_hints(Sample)
    bare_ones = get_type_hints(BareSample)
    assert bare_ones == {name: of_sample[name] for name in bare_ones}
