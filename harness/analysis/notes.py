"""What a row has to say beside its figures: why it has none, and what makes them doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.doubt import rejected
from harness.analysis.doubt.judge import MARKS
from harness.analysis.doubt.mark import Figure
from harness.analysis.lossless import Verdict
from harness.analysis.trial import NOT_MEASURED, Trial, TrialSummary
from harness.measured import AnySample
from harness.records import Arm, Launch, Sample
from runners.base.speculation import parts_of

LEAST_SPREAD = 0.005
"""Share of a rate below which nobody needs to know between what it lies."""


def failure_of(
    arm: Arm, samples: Sequence[AnySample], launches: Sequence[Launch], *, drafts_elsewhere: bool
) -> str | None:
    """Why a trial has no figures; None for one that has.

    `launches`: those of the arm; `drafts_elsewhere`: as of a `Trial`.
    """
    if arm.impossible is not None:
        return arm.impossible
    ok = [sample for sample in samples if sample.status == "ok"]
    if ok:
        # A lookup may find nothing in one kind of text; drafts made by a model are always there.
        looks_up = all(part.startswith("ngram") for part in parts_of(arm.method))
        silent = not (drafts_elsewhere and looks_up)
        if arm.draft_tokens is not None and silent and all(s.drafted == 0 for s in ok):
            found = f"asked for {arm.method}, drafted nothing in {_requests(len(ok))}"
            remarks = [launch.remark for launch in launches if launch.remark is not None]
            return f"{found}; {_most_frequent(remarks)}" if remarks else found
        return None
    if samples:
        return _reasons(samples)
    lost = [launch for launch in launches if launch.status == "failed"]
    # A launch's reason is a whole sentence: 'it did not start: …', 'the warm-up request failed: …'.
    return _reasons(lost) if lost else NOT_MEASURED


def notes_of(row: TrialSummary, trial: Trial) -> tuple[str, ...]:
    """A sentence for everything that makes the figures of a row doubtful."""
    ok, failed, lost = trial.ok, trial.failed, trial.lost
    notes = []
    if failed:
        notes.append(f"{len(failed)} of {len(trial.samples)} failed: {_reasons(failed)}")
    if lost:
        notes.append(f"{len(lost)} of {len(trial.launches)} launches failed: {_reasons(lost)}")
    notes += _doubts_of_the_runner(trial)
    if row.arm.as_served:
        # What a server that somebody else has started says of itself.
        notes += dict.fromkeys(launch.remark for launch in trial.launches if launch.remark)
    notes += _bounds(row)
    if row.decode_rate is None:
        notes.append(_without_rate(ok))
    elif not row.arm.is_baseline and row.speedup is None:
        notes.append("no plain sample of the same round and prompt to compare with")
    if row.speculating.found_nothing and not row.arm.as_served:
        notes.append(f"drafted nothing in {_requests(len(ok))}: this text has nothing to look up")
    if row.speculating.acceptance_rate == 0 and row.arm.synthetic is None:
        notes.append("every drafted token was rejected")
    if row.arm.is_baseline and row.lossless.verdict in (Verdict.DIFFERENT, Verdict.NEAR_TIE):
        who = "the server" if row.arm.as_served else "plain decoding"
        notes.append(
            f"{who} does not repeat itself: {row.lossless.differing} of "
            f"{row.lossless.compared} answers differ from the round before"
        )
    notes += _marks(row, trial)
    if row.ceiling_share is not None and row.ceiling_share > 1:
        notes.append("faster than its ceiling: the bandwidth or the bytes per token are too low")
    return tuple(notes)


def doubtful(trial: Trial) -> str | None:
    """'9 of 12: other programs used the processor': what spoiled most, where so many samples are
    spoiled that the decode rate, or plain's in the speed-up, is made of them too."""
    own = trial.sound(Figure.RATE)
    if own.doubtful:
        return _spoiled_most(trial, trial.ok)
    if trial.arm.is_baseline or not trial.sound_plain(Figure.RATE).doubtful:
        return None
    plain = [sample for sample in trial.plain if sample.status == "ok"]
    return f"of plain's, {_spoiled_most(trial, plain)}"


def _spoiled_most(trial: Trial, samples: Sequence[Sample]) -> str:
    counts = Counter(
        mark
        for sample in samples
        for mark in trial.marks.get(sample.key, ())
        if Figure.RATE in mark.spoils
    )
    most, count = max(counts.items(), key=lambda item: (item[1], -MARKS.index(item[0])))
    return f"{count} of {len(samples)}: {most.words}"


def _marks(row: TrialSummary, trial: Trial) -> list[str]:
    """'2 of 12 left out: other programs used the processor', for each reason there is."""
    counts = trial.counts()
    notes = []
    for mark in MARKS:
        # What is so of all drafts is said already, whoever made them.
        if not counts[mark] or (mark == rejected.MARK and row.speculating.acceptance_rate == 0):
            continue
        figures = [figure for figure in Figure if figure in mark.spoils]
        done = ""
        if figures:
            main, of_all = figures[0], trial.sound(figures[0]).doubtful
            if main is Figure.RATE:
                done = " doubtful, so none is left out" if of_all else " left out"
            elif not of_all:
                done = f" left out of {main.value}"
        notes.append(f"{counts[mark]} of {row.ok}{done}: {mark.words}")
    return notes


def _bounds(row: TrialSummary) -> list[str]:
    if row.decode_rate is None or row.decode_bounds is None:
        return []
    low, high = row.decode_bounds.low, row.decode_bounds.high
    if high - low < LEAST_SPREAD * row.decode_rate.value:
        return []
    return [
        f"tok/s lies between {low:.3g} and {high:.3g}: how many tokens came in the first chunk is "
        "not exposed"
    ]


def _without_rate(ok: Sequence[Sample]) -> str:
    if all(len(sample.bursts) < 2 for sample in ok):
        return "every answer came in one burst, which has no decode rate"
    return (
        "no decode rate: the bursts of each answer were read at one moment, by a client that "
        "could not keep up"
    )


def _doubts_of_the_runner(trial: Trial) -> list[str]:
    """What the runner's own records say against the row."""
    asked = trial.arm.draft_tokens
    limits = [launch.draft_limit for launch in trial.launches if launch.draft_limit is not None]
    disagreements = [launch.disagreement for launch in trial.launches if launch.disagreement]
    notes = [] if trial.arm.shortened is None else [trial.arm.shortened]
    if asked is not None and limits and min(limits) < asked:
        notes.append(f"asked for k={asked}, the runner drafts at most {min(limits)}")
    if disagreements:
        notes.append(
            f"the runner's records disagree in {len(disagreements)} of {len(trial.launches)} "
            f"launches, so acceptance is doubtful: {_most_frequent(disagreements)}"
        )
    return notes


def _reasons(records: Sequence[AnySample] | Sequence[Launch]) -> str:
    """The most frequent reason, and how many others there are."""
    return _most_frequent([record.reason or "no reason given" for record in records])


def _most_frequent(texts: Sequence[str]) -> str:
    (text, _), *others = Counter(texts).most_common()
    return f"{text} (further reasons: {len(others)})" if others else text


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
