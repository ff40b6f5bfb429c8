from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.doubt import busy, cached, loop
from harness.analysis.doubt.judge import Doubts
from harness.analysis.doubt.mark import Figure
from harness.analysis.doubt.sound import sound
from tests.harness.builders import make_arm, make_sample

SAMPLES = [make_sample(make_arm(), prompt=f"p{number}") for number in range(4)]


def marks(*numbers: int, mark=busy.MARK):
    return {SAMPLES[number].key: (mark,) for number in numbers}


def test_half_may_be_left_out_and_not_more() -> None:
    half = sound(SAMPLES, marks(0, 3), Figure.RATE)
    assert half.samples == (SAMPLES[1], SAMPLES[2])
    assert half.spoiled == (SAMPLES[0], SAMPLES[3])
    assert not half.doubtful
    most = sound(SAMPLES, marks(0, 1, 3), Figure.RATE)
    assert most.samples == tuple(SAMPLES)
    assert most.spoiled == (SAMPLES[0], SAMPLES[1], SAMPLES[3])
    assert most.doubtful


def test_only_what_a_mark_spoils_falls_out() -> None:
    assert sound(SAMPLES, marks(0, mark=cached.MARK), Figure.RATE).spoiled == ()
    assert sound(SAMPLES, marks(0, mark=cached.MARK), Figure.TTFT).spoiled == (SAMPLES[0],)
    assert sound(SAMPLES, marks(0, mark=loop.MARK), Figure.TTFT).spoiled == ()
    doubts = Doubts(marks(0, mark=loop.MARK))
    assert doubts.spoiled(SAMPLES[0], Figure.ACCEPTANCE)
    assert not doubts.spoiled(SAMPLES[1], Figure.ACCEPTANCE)
    assert doubts.of(SAMPLES[1]) == ()
    assert doubts.sound(SAMPLES, Figure.ACCEPTANCE).samples == tuple(SAMPLES[1:])


def test_nothing_is_made_of_nothing() -> None:
    assert sound([], {}, Figure.RATE).samples == ()
    assert not sound([], {}, Figure.RATE).doubtful


@given(spoiled=st.sets(st.integers(0, 3)))
def test_every_sample_is_kept_or_spoiled(spoiled) -> None:
    found = sound(SAMPLES, marks(*spoiled), Figure.RATE)
    assert {s.prompt for s in found.spoiled} == {f"p{number}" for number in spoiled}
    left = set() if found.doubtful else set(found.spoiled)
    assert {*found.samples, *left} == set(SAMPLES)
    assert found.doubtful == (len(spoiled) > 2)
