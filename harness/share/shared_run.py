"""The figures of a share, from its samples alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.doubt.judge import MARKS, Doubts
from harness.analysis.doubt.mark import Figure
from harness.analysis.lossless import Held, Lossless, Margin, lossless_of, not_comparable
from harness.analysis.summary import summarise
from harness.analysis.trial import TrialSummary
from harness.analysis.winner import Contest, find_winners
from harness.records import Arm, Manifest, ModelInfo, RunnerInfo
from harness.run_folder import RunData
from harness.share.share import AgainstPlain, Share, SharedSample, ShareError


@dataclass(frozen=True)
class Measured:
    """One workload at one `max_tokens`: plain decoding and the best that is held against it."""

    contest: Contest
    lossless: Lossless
    """Of the contest's best; nothing is compared where it has none."""
    rounds: int
    prompts: int


@dataclass(frozen=True)
class Figures:
    """What a row and its footnote say, unrounded and free of any format."""

    share: Share
    measured: tuple[Measured, ...]
    doubtful: tuple[tuple[str, int], ...]
    """Words of a doubt, and how many of the samples that were left out have it."""
    left_out: int
    """Samples that the rates leave out: of a trial of which most are spoiled, none."""
    answered: int
    failed: int

    @property
    def manifest(self) -> Manifest:
        return self.share.manifest

    @property
    def plain(self) -> Arm:
        return next(arm for arm in self.manifest.arms if arm.is_baseline)

    @property
    def runner(self) -> RunnerInfo | None:
        return next(iter(self.manifest.runners), None)

    @property
    def model(self) -> ModelInfo | None:
        return self.file(self.plain.model)

    def file(self, name: str | None) -> ModelInfo | None:
        """What is known of a model's file."""
        return next((model for model in self.manifest.models if model.path == name), None)


def figures_of(share: Share) -> Figures:
    """Compute everything anew.

    Raises:
        ShareError: no figures can be made of what it holds.
    """
    doubts = _doubts(share)
    run = RunData(
        share.manifest,
        launches=(),
        samples=tuple(one.figures for one in share.samples),
        sessions=(),
    )
    try:
        rows = summarise(run, doubts)
        contests = find_winners(run, rows)
    except (ArithmeticError, ValueError) as error:
        raise ShareError(f"no figures can be made of its samples: {error}") from None
    ok = [one for one in share.samples if one.figures.status == "ok"]
    left_out = {key for row in rows for key in row.left_out}
    counts = Counter(
        mark
        for one in ok
        if one.figures.key in left_out
        for mark in doubts.of(one.figures)
        if Figure.RATE in mark.spoils
    )
    return Figures(
        share=share,
        measured=tuple(_measured(share, ok, contest) for contest in contests),
        doubtful=tuple((mark.words, counts[mark]) for mark in MARKS if counts[mark]),
        left_out=len(left_out),
        answered=len(ok),
        failed=len(share.samples) - len(ok),
    )


def _doubts(share: Share) -> Doubts:
    known = {mark.name: mark for mark in MARKS}
    for one in share.samples:
        for name in one.doubts:
            if name not in known:
                raise ShareError(f"it names a doubt {name!r} that is not known")
    return Doubts(
        {
            one.figures.key: tuple(known[name] for name in one.doubts)
            for one in share.samples
            if one.doubts
        }
    )


def _measured(share: Share, ok: Sequence[SharedSample], contest: Contest) -> Measured:
    own = [one for one in ok if _of(one, shown(contest))]
    return Measured(
        contest,
        lossless=_lossless(share, [one for one in own if contest.best is not None]),
        rounds=len({one.figures.round for one in own}),
        prompts=len({one.figures.prompt for one in own}),
    )


def shown(contest: Contest) -> TrialSummary:
    """The trial that a row is about: the best of those held against plain, or else plain."""
    return contest.plain if contest.best is None else contest.best


def _of(one: SharedSample, row: TrialSummary) -> bool:
    figures = one.figures
    return (figures.arm, figures.workload, figures.max_tokens) == (
        row.arm.id,
        row.workload,
        row.max_tokens,
    )


def _lossless(share: Share, samples: Sequence[SharedSample]) -> Lossless:
    if share.manifest.suite.temperature > 0:
        return not_comparable("sampled")
    return lossless_of(_held(one.against_plain) for one in samples)


def _held(told: AgainstPlain | None) -> Held | None:
    if told is None:
        return None
    margin = None if told.margin is None else Margin(told.margin, told.at_least)
    return Held(told.same, told.at, margin)
