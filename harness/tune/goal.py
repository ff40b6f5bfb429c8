"""What a request counts as by the goal of a tuning, and which doubts count against it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.doubt.mark import Figure
from harness.records import Sample
from harness.tuning_goal import TuningGoal

NAMES: Mapping[TuningGoal, str] = {
    TuningGoal.DECODE: "decode rate",
    TuningGoal.THROUGHPUT: "rate over a whole request",
    TuningGoal.TTFT: "TTFT",
}
"""What a sentence calls the figure."""

THAN_PLAIN: Mapping[TuningGoal, str] = {
    TuningGoal.DECODE: "plain",
    TuningGoal.THROUGHPUT: "plain over the whole request",
    TuningGoal.TTFT: "as fast as plain to the first token",
}
"""What follows '1.21x'."""

SPOILED_BY: Mapping[TuningGoal, tuple[Figure, ...]] = {
    TuningGoal.DECODE: (Figure.RATE,),
    TuningGoal.THROUGHPUT: (Figure.RATE, Figure.TTFT),
    TuningGoal.TTFT: (Figure.TTFT,),
}
"""A sample is left out if a doubt spoils one of these."""


def rate_of(goal: TuningGoal, sample: Sample) -> float | None:
    """The figure as a rate, of which more is better: tokens per second, or first tokens per second.

    None where the sample has it not.
    """
    if goal is TuningGoal.DECODE:
        return sample.decode_rate or None
    if goal is TuningGoal.TTFT:
        return 1 / sample.ttft_s if sample.ttft_s else None
    if not sample.output_tokens or not sample.wall_s:
        return None
    return sample.output_tokens / sample.wall_s


def share_before(goal: TuningGoal, sample: Sample) -> float:
    """Of a request's time, the share before its first token, where the figure is of all of it."""
    if goal is not TuningGoal.THROUGHPUT or not sample.ttft_s or not sample.wall_s:
        return 0.0
    return min(1.0, sample.ttft_s / sample.wall_s)


def behind(goal: TuningGoal, regret: float) -> str:
    """'3.1% below', '3.2% longer to the first token than', of a share of the speed that is lost."""
    if goal is TuningGoal.TTFT:
        return f"{1 / (1 - regret) - 1:.1%} longer to the first token than"
    return f"{regret:.1%} below"
