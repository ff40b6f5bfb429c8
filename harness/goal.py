"""What a sweep goes on for, beyond its least rounds."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.precision import Exactness
from harness.suite import Suite


@dataclass(frozen=True)
class Standing:
    """How far a run is from what it goes on for."""

    reached: bool
    words: str
    """'prose ngram-mod k=4 at ±3.1% of ±2%'"""


def goal_of(suite: Suite) -> str | None:
    """'until every interval is within ±2%'; None where the rounds are fixed."""
    if suite.precision is not None:
        return f"until every interval is within ±{percent(suite.precision)}"
    if suite.budget is not None:
        return f"until the settings are told apart or {suite.budget:g} s are over"
    if suite.threshold is not None:
        return f"until a loss of {percent(2 * suite.threshold)} would be found"
    return None


def percent(share: float) -> str:
    """'2%', '2.5%'."""
    return f"{100 * share:g}%"


def of_precision(found: Exactness | None, wanted: float) -> Standing:
    """Whether the least exact figure is exact enough; none at all is nothing to go on for."""
    if found is None:
        return Standing(True, "no figure to be made more exact")
    reach = "no interval yet" if found.half_width is None else f"±{found.half_width:.1%}"
    return Standing(
        found.within(wanted), f"{found.workload} {found.setting} at {reach} of ±{percent(wanted)}"
    )
