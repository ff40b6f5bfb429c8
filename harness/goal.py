"""What a sweep goes on for, beyond its least rounds, and whether it is there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.doubt.judge import judge
from harness.analysis.precision import Exactness, least_exact
from harness.analysis.summary import summarise
from harness.run_folder import read_run
from harness.suite import Suite

if TYPE_CHECKING:
    from harness.gate.enough import Need


@dataclass(frozen=True)
class Standing:
    """How far a run is from what it goes on for."""

    reached: bool
    words: str
    """'prose ngram-mod k=4 at ±3.1% of ±2%'"""


def goal_of(suite: Suite) -> str | None:
    """'until every interval is within ±2%'; None where the rounds are fixed."""
    if suite.precision is not None:
        return f"until every interval is within ±{_percent(suite.precision)}"
    if suite.budget is not None:
        return f"until the settings are told apart or {suite.budget:g} s are over"
    if suite.threshold is not None:
        return f"until a loss of {_percent(2 * suite.threshold)} would be found"
    return None


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def standing(folder: Path, suite: Suite, broken: Collection[str] = ()) -> Standing | None:
    """How the run in `folder` stands after its last whole round; None where its rounds are fixed.

    `broken` are arms that do not start, of which no further round tells more.

    Raises:
        RunFolderError: no run, or a damaged one.
    """
    if suite.threshold is not None:
        from harness.gate.enough import greatest_need  # noqa: PLC0415

        return of_threshold(greatest_need(folder, suite.threshold, broken), suite.threshold)
    if suite.precision is None:
        return None
    run = read_run(folder)
    doubts = judge(run)
    found = least_exact(run, summarise(run), doubts, without=broken)
    return of_precision(found, suite.precision)


def of_precision(found: Exactness | None, wanted: float) -> Standing:
    """Whether the least exact figure is exact enough; none at all is nothing to go on for."""
    if found is None:
        return Standing(True, "no figure to be made more exact")
    reach = "no interval yet" if found.half_width is None else f"±{found.half_width:.1%}"
    return Standing(
        found.within(wanted), f"{found.workload} {found.setting} at {reach} of ±{_percent(wanted)}"
    )


def of_threshold(need: Need | None, threshold: float) -> Standing:
    """Whether the loss would be found in every trial; no trial at all is nothing to go on for."""
    if need is None:
        return Standing(True, "no decode rates to hold against each other")
    rounds = "many more rounds" if need.needed is None else f"about {need.needed} rounds"
    return Standing(
        need.is_met, f"{need.trial}: {rounds} would find a loss of {_percent(2 * threshold)}"
    )
