"""What a reader has to know of a run's doubts before any figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.doubt.judge import MARKS, run_doubts
from harness.analysis.doubt.mark import Figure
from harness.analysis.trial import TrialSummary
from harness.report import numbers
from harness.run_folder import RunData

MOST_SPOILED = 0.2
"""Share of the samples from which the doubts are about the whole run."""


def doubt_warnings(run: RunData, rows: Sequence[TrialSummary]) -> tuple[str, ...]:
    """The doubts of the run as a whole, and of its samples if they are too many."""
    return (*run_doubts(run.manifest, run.samples), *_too_many(rows))


def _too_many(rows: Sequence[TrialSummary]) -> tuple[str, ...]:
    """'12 of 40 samples are doubtful, most of them because: other programs …. Stop …'."""
    samples, spoiled = sum(row.ok for row in rows), sum(row.spoiled for row in rows)
    if spoiled <= MOST_SPOILED * samples:
        return ()
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row.doubts)
    most = max(
        (mark for mark in MARKS if Figure.RATE in mark.spoils), key=lambda mark: counts[mark.name]
    )
    which = "all of them" if counts[most.name] == spoiled else f"{counts[most.name]} of these"
    return (
        f"{spoiled} of {numbers.counted(samples, 'sample')} are doubtful, {which} for this: "
        f"{most.words}. {most.advice}",
    )
