from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runners.base.contract import Completion
from runners.base.told import Told

COUNTS = st.integers(0, 99)


@given(answers=st.lists(st.tuples(COUNTS, COUNTS), max_size=8), more=st.integers(1, 9))
def test_sums_are_held_against_the_other_records(answers: list[tuple[int, int]], more: int) -> None:
    told = Told()
    for accepted, drafted in answers:
        told.begin()
        told.add(Completion(0.0, 1, "stop", accepted=accepted, drafted=drafted))
    accepted, drafted = (sum(column) for column in zip((0, 0), *answers, strict=True))
    assert told.disagreement({}) is None
    assert told.disagreement({"/metrics": (accepted, drafted)}) is None
    said = told.disagreement(
        {"/metrics": (accepted, drafted), "the log": (accepted, drafted + more)}
    )
    assert said == (
        f"accepted and drafted tokens differ: the responses: {accepted} of {drafted}, "
        f"/metrics: {accepted} of {drafted}, the log: {accepted} of {drafted + more}"
    )


def test_a_request_that_told_nothing_lets_nobody_judge() -> None:
    told = Told()
    told.begin()
    assert told.disagreement({"/metrics": (1, 2)}) is None
    told.add(Completion(0.0, 1, "stop"))
    assert told.disagreement({"/metrics": (1, 2)}) is None
    told.add(Completion(0.0, 1, "stop", accepted=0, drafted=0))
    assert told.disagreement({"/metrics": (1, 2)}) is not None
