"""Holds a candidate against a baseline: every figure of every trial, and the decision."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from harness.compare.matching import Match, Matching, check, match
from harness.compare.side import Side, read_sides
from harness.gate.answers import lossless_rows
from harness.gate.decide import ERROR_RATE, overall, share
from harness.gate.failures import answers_row, failed_row, failure, requests_row
from harness.gate.figures import compared, row_of
from harness.gate.verdict import Figure, Gate, Row
from harness.gate.words import NIGHTS_DIFFER

FEWEST_ROUNDS = 6
"""What a run of too few rounds is to have the next time: how many it takes is known then."""

_WITH_A_VALUE = ("--repeats", "--max-rounds", "--precision", "--out")


def gate(
    baseline: str, candidate: str | None = None, *, threshold: float, force: bool = False
) -> Gate:
    """Judge the candidate: each a FOLDER or FOLDER:NAME, or `baseline` alone a run of `bench ab`.

    `threshold` is the loss that is put up with, as a share of the baseline.

    Raises:
        CompareError: the two have nothing in common; or they differ in what makes their ratio
            meaningless, and it is not forced.
        RunFolderError: no run, or a damaged one.
    """
    sides = read_sides(baseline, candidate)
    matching = match(*sides)
    if not force:
        check(matching)
    return judge(*sides, matching, threshold)


def judge(baseline: Side, candidate: Side, matching: Matching, threshold: float) -> Gate:
    """Judge what was matched."""
    failed = {
        one.name: failed_row(
            one, failure(one.baseline, baseline), failure(one.candidate, candidate)
        )
        for one in matching.matches
    }
    whole = [one for one in matching.matches if failed[one.name] is None]
    lost = share(len(matching.matches))
    found: dict[str, list[Row]] = {
        name: [] if row is None else [row] for name, row in failed.items()
    }
    for row in (
        *_figures(whole, threshold, paired=matching.paired, trials=len(matching.matches)),
        *lossless_rows(whole, baseline, candidate),
        *(row for one in whole if (row := answers_row(one)) is not None),
        *(row for one in whole if (row := requests_row(one, lost)) is not None),
    ):
        found[row.trial].append(row)
    rows = tuple(row for one in found.values() for row in one)
    rates = [row for row in rows if row.required]
    # A trial without figures has its verdict without them.
    sights = [row.sight for row in rates if row.ratio is not None]
    smallest = [one.smallest for one in sights]
    needed = [one.rounds for one in sights]
    rounds = max((one for one in needed if one is not None), default=None)
    return Gate(
        decision=overall(
            (row.decision for row in rates), (row.decision for row in rows if not row.required)
        ),
        baseline=baseline.name,
        candidate=candidate.name,
        threshold=threshold,
        error_rate=ERROR_RATE,
        paired=matching.paired,
        smallest=max((one for one in smallest if one is not None), default=None)
        if None not in smallest
        else None,
        rounds=rounds if None not in needed else None,
        command=command(baseline, candidate, rounds),
        differences=matching.differences,
        unmatched=matching.unmatched,
        remarks=tuple(_remarks(baseline, candidate, matching)),
        rows=rows,
    )


def command(baseline: Side, candidate: Side, rounds: int | None) -> str:
    """What measures so many rounds: of one run its own command, of two a single run of both."""
    rounds = FEWEST_ROUNDS if rounds is None else rounds
    if baseline.folder != candidate.folder:
        return f"bench ab --baseline-runner … --candidate-runner … --repeats {rounds}"
    kept: list[str] = []
    arguments = iter(baseline.manifest.command)
    for argument in arguments:
        if argument in _WITH_A_VALUE:
            next(arguments, None)
        elif not argument.startswith(tuple(f"{name}=" for name in _WITH_A_VALUE)):
            kept.append(argument)
    return f"{shlex.join(kept)} --repeats {rounds}"


def _figures(
    matches: Sequence[Match], threshold: float, *, paired: bool, trials: int
) -> Iterator[Row]:
    """The rows of all numbers. Decode rates share the error rate; what else chance can move shares
    it once more."""
    found = [one for match_ in matches for one in compared(match_, paired=paired)]
    others = sum(one.is_noisy for one in found if one.figure is not Figure.DECODE_RATE)
    for one in found:
        yield row_of(one, threshold, share(trials if one.figure is Figure.DECODE_RATE else others))


def _remarks(baseline: Side, candidate: Side, matching: Matching) -> Iterator[str]:
    if baseline.folder != candidate.folder:
        yield NIGHTS_DIFFER
    told = {side.folder: side for side in (baseline, candidate)}
    for side in told.values():
        yield from (f"{side.folder}: {remark}" for remark in side.remarks)
