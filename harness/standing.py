"""Whether a run that goes on is where it was to get."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.analysis.doubt.judge import judge
from harness.analysis.precision import least_exact
from harness.analysis.summary import summarise
from harness.gate.enough import Need, greatest_need
from harness.goal import Standing, of_precision, percent
from harness.run_folder import read_run
from harness.suite import Suite


def standing(folder: Path, suite: Suite, broken: Collection[str] = ()) -> Standing | None:
    """How the run in `folder` stands after its last whole round; None where its rounds are fixed.

    `broken` are arms that do not start, of which no further round tells more.

    Raises:
        RunFolderError: no run, or a damaged one.
    """
    if suite.threshold is not None:
        return of_threshold(greatest_need(folder, suite.threshold, broken), suite.threshold)
    if suite.precision is None:
        return None
    run = read_run(folder)
    doubts = judge(run)
    found = least_exact(run, summarise(run, doubts), doubts, without=broken)
    return of_precision(found, suite.precision)


def of_threshold(need: Need | None, threshold: float) -> Standing:
    """Whether the loss would be found in every trial; no trial at all is nothing to go on for."""
    if need is None:
        return Standing(True, "no decode rates to hold against each other")
    rounds = "many more rounds" if need.needed is None else f"about {need.needed} rounds"
    return Standing(
        need.is_met, f"{need.trial}: {rounds} would find a loss of {percent(2 * threshold)}"
    )
