"""Which setting is the fastest for a workload, and whether the samples prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from harness.analysis.statistics import (
    LEAST_ROUNDS,
    geometric_mean_estimate,
    is_proven_gain,
)
from harness.analysis.trial import TrialSummary
from harness.pairing import ratios
from harness.records import Sample
from harness.run_folder import RunData

FEW_PAIRS = 6
"""With n pairs, all of them favour a setting that gains nothing in 1 of 2^n cases. Below six that
is more often than the 2.5% which an interval above 1 claims, so that the claim then rests on noise
that is nearly normal."""


class Outcome(Enum):
    SPECULATION = "a setting is proven faster than plain"
    PLAIN = "every setting is proven slower than plain"
    UNPROVEN = "no setting is proven faster than plain"
    NO_SPEEDUP = "nothing to compare with plain"


@dataclass(frozen=True)
class Contest:
    """The arms of one baseline on one workload at one `max_tokens`."""

    workload: str
    max_tokens: int
    plain: TrialSummary
    outcome: Outcome
    best: TrialSummary | None
    """The winner, or the best of those that are not proven; None with NO_SPEEDUP."""
    rivals: tuple[TrialSummary, ...] = ()
    """Settings that cannot be told apart from a winner."""
    screen: str | None = None
    """Why a win is a screen and not a proof: 'only 4 pairs', 'only 2 rounds'."""
    compared: int = 0
    """Settings that were held against plain, of which the best was picked."""
    failed: int = 0
    """Settings that could not be."""


def find_winners(run: RunData, rows: Sequence[TrialSummary]) -> tuple[Contest, ...]:
    """One contest for each workload, `max_tokens` and plain arm, in the order of the rows.

    A winner's whole interval lies above 1, and so does the wider one that allows for its being
    the best of several (Bonferroni's: of n settings, each with 1/n of the chance to err). A
    setting that had every drafted token rejected cannot be faster for its drafts, so it does not
    win whatever its intervals say. Settings whose drafts are accepted by draw take no part.
    """
    return tuple(
        _decide(
            run,
            plain,
            [
                row
                for row in rows
                if row.arm.baseline == plain.arm.id
                and not row.arm.is_baseline
                and row.arm.synthetic is None
                and (row.workload, row.max_tokens) == (plain.workload, plain.max_tokens)
            ],
        )
        for plain in rows
        if plain.arm.is_baseline
    )


def _decide(run: RunData, plain: TrialSummary, others: Sequence[TrialSummary]) -> Contest:
    ranked = sorted(
        (row for row in others if row.speedup is not None),
        key=lambda row: (_can_gain(row), row.speedup.value if row.speedup else 0.0),
        reverse=True,
    )

    def contest(
        outcome: Outcome,
        best: TrialSummary | None = None,
        rivals: tuple[TrialSummary, ...] = (),
        screen: str | None = None,
    ) -> Contest:
        return Contest(
            workload=plain.workload,
            max_tokens=plain.max_tokens,
            plain=plain,
            outcome=outcome,
            best=best,
            rivals=rivals,
            screen=screen,
            compared=len(ranked),
            failed=len(others) - len(ranked),
        )

    if not ranked:
        return contest(Outcome.NO_SPEEDUP)
    for winner in ranked:
        gains = ratios(_samples(run, winner), _samples(run, plain))
        if not _is_faster(winner, gains, len(ranked)):
            continue
        rivals = tuple(row for row in ranked if row is not winner and _is_rival(run, winner, row))
        return contest(Outcome.SPECULATION, winner, rivals, screen_of(gains))
    slower = all(
        row.speedup is not None and row.speedup.interval and row.speedup.interval.high < 1
        for row in ranked
    )
    return contest(Outcome.PLAIN if slower else Outcome.UNPROVEN, ranked[0])


def screen_of(gains: Sequence[Sequence[float]]) -> str | None:
    """Why ratios, by round, are a screen and not a proof; None where they may be one."""
    pairs, rounds = sum(map(len, gains)), len(gains)
    if pairs < FEW_PAIRS:
        return f"only {pairs} pairs"
    if rounds < LEAST_ROUNDS:
        return "only 1 round" if rounds == 1 else f"only {rounds} rounds"
    return None


def _is_faster(row: TrialSummary, gains: Sequence[Sequence[float]], picked_from: int) -> bool:
    return (
        row.speedup is not None
        and row.speedup.interval is not None
        and row.speedup.interval.low > 1
        and _can_gain(row)
        and is_proven_gain(gains, picked_from)
    )


def _can_gain(row: TrialSummary) -> bool:
    """False for plain decoding under another name: nothing drafted or nothing accepted."""
    speculating = row.speculating
    # Where drafts are not counted, a token a step says as much.
    accepted = speculating.acceptance_rate != 0 and speculating.acceptance_length != 1
    return accepted and not speculating.found_nothing


def _is_rival(run: RunData, winner: TrialSummary, other: TrialSummary) -> bool:
    """True unless the winner's rate, pair by pair, is above the other's with a whole interval."""
    ratio = geometric_mean_estimate(ratios(_samples(run, winner), _samples(run, other)))
    return ratio is None or ratio.interval is None or ratio.interval.low <= 1


def _samples(run: RunData, row: TrialSummary) -> list[Sample]:
    return row.sound(
        sample
        for sample in run.samples
        if (sample.arm, sample.workload, sample.max_tokens)
        == (row.arm.id, row.workload, row.max_tokens)
    )
