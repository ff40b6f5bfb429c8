"""How long a run took, also where a session was killed before it could say so."""

from __future__ import annotations

import dataclasses

import pytest

from harness.records import Session
from harness.run_folder import RunData
from harness.spent import spent_s
from tests.harness.builders import make_arm, make_launch, make_run, make_sample

NONE = make_arm()
MORNING, NOON = "2026-01-01T08:00:00.000+00:00", "2026-01-01T12:00:00.000+00:00"


def run_of(*sessions: tuple[str, float]) -> RunData:
    """A launch of 5 s and two requests of 3 s each, in the morning and at noon."""
    launches, samples = [], []
    for number, begun in enumerate((MORNING, NOON), start=1):
        launches.append(make_launch(NONE, number, started_at=begun, start_s=4.0, warmup_s=1.0))
        for prompt, second in (("p1", "05"), ("p2", "08")):
            at = begun.replace(":00.000", f":{second}.250")
            samples.append(
                make_sample(NONE, round=number, prompt=prompt, started_at=at, wall_s=3.0)
            )
    run = make_run((NONE,), samples, launches=launches, budget=60.0)
    told = (Session(started_at=s, wall_s=w, loading_s=0.0, waiting_s=0.0) for s, w in sessions)
    return dataclasses.replace(run, sessions=tuple(told))


@pytest.mark.parametrize(
    ("sessions", "seconds"),
    [
        ([(MORNING, 12.0), (NOON, 13.0)], 25.0),
        ([(NOON, 13.0)], 13.0 + 5.0 + 6.0),  # the morning's was killed
        ([(MORNING, 12.0)], 12.0 + 5.0 + 6.0),  # killed, and not resumed yet
        ([], 22.0),
        ([("2026-01-01T08:00:00Z", 12.0), (NOON, 13.0)], 25.0),
        ([("2026-01-01T08:00:00", 12.0), (NOON, 13.0)], 25.0),
        ([(MORNING, 12.0), ("no time", 13.0)], 25.0 + 5.0 + 6.0),
    ],
)
def test_what_no_session_tells_is_counted(
    sessions: list[tuple[str, float]], seconds: float
) -> None:
    assert spent_s(run_of(*sessions)) == pytest.approx(seconds)


def test_a_request_that_began_with_its_session_is_its_own() -> None:
    """The two clocks may differ by part of a second."""
    session = ("2026-01-01T08:00:00.400+00:00", 12.0)
    assert spent_s(run_of(session, (NOON, 13.0))) == pytest.approx(25.0)
