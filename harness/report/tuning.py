"""The card of a tuning in words and tables, free of any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.statistics import Estimate
from harness.report import numbers
from harness.report.tables import (
    ACCEPTANCE,
    ACCEPTANCE_LENGTH,
    DECODE_RATE,
    LOSSLESS,
    REASON,
    SETTING,
    SPEEDUP,
    WORKLOAD,
    Column,
    Table,
    known,
    lossless_words,
)
from harness.tune.card import Against, Card, Prediction, Recommendation
from harness.tune.goal import THAN_PLAIN, behind
from harness.tune.search import GRID_ROUNDS, Outcome
from harness.tuning_goal import TuningGoal

HEADING = "Recommended settings"
MEANING = (
    "A speed-up's interval says here what further rounds over these prompts would give; the one "
    "under Results allows for other prompts too, and is mostly wider."
)
PREDICTIONS = "Predicted and measured"
EXCLUDED = "Ruled out"
PREDICTED_MEANING = (
    "What the curve through the other draft lengths says of a setting that was measured, and where "
    "several options are free what other combinations of them say. The longest of a family is not "
    "predicted by a curve alone, which says nothing beyond its end."
)
EXCLUDED_MEANING = "They failed, drafted nothing that was accepted, or wrote another text."

MEMORY = Column("peak memory")
AFTER_PREFILL = Column("decode tok/s [95%]")
"""Beside another goal's figure: what the setting does to it."""
ROUNDS = Column("rounds")
PREDICTED = Column("predicted")
APART = Column("apart")


@dataclass(frozen=True)
class _Words:
    """How a goal's figure and its speed-ups are called."""

    figure: Column
    speedup: Column
    tuned_for: str | None
    """What all figures of the card are about; None where it is what every report's are."""
    expected: str
    """With the figure in the place of {}."""
    reads: str = ""
    """After '0.83x', where plain is not named."""
    where: str = ""
    """After 'faster than plain'."""


_WORDS: Mapping[TuningGoal, _Words] = {
    TuningGoal.DECODE: _Words(DECODE_RATE, SPEEDUP, None, "{} tok/s"),
    TuningGoal.THROUGHPUT: _Words(
        Column("tok/s with the prefill [95%]"),
        Column("speed-up of the request [95%]"),
        "Tuned for the tokens per second of a whole request: all its tokens divided by the time "
        "from sending it to its end, prefill included, one request at a time. It is not the "
        "throughput of many at once.",
        "{} tok/s with the prefill",
        reads=" over the whole request",
        where=" over the whole request",
    ),
    TuningGoal.TTFT: _Words(
        Column("TTFT [95%]"),
        Column("TTFT speed-up [95%]"),
        "Tuned for TTFT, the time to the first token of one request at a time; what follows it is "
        "not weighed, and of settings that differ in nothing but the draft length the shortest "
        "stands for all. A TTFT speed-up is plain's TTFT divided by the setting's: 1.25x takes 80% "
        "of plain's time, 0.80x takes 125% of it.",
        "TTFT {}",
        reads=" as fast to the first token",
        where=" to the first token",
    ),
}


@dataclass(frozen=True)
class Start:
    """How a recommended setting is started by hand."""

    heading: str
    """'To start mtp k=4 by hand, for coding:'."""
    command: str
    """As it is to be pasted: one line or more."""


@dataclass(frozen=True)
class TuningSection:
    """A card for every format to print."""

    card: Card
    headlines: tuple[str, ...]
    """The answer for each workload, and for all of them."""
    table: Table
    remarks: tuple[str, ...]
    starts: tuple[Start, ...]
    """Of the setting for all workloads, and of those that a workload has for itself."""
    predictions: Table
    excluded: Table


def tuning_section(card: Card) -> TuningSection:
    return TuningSection(
        card=card,
        headlines=_headlines(card),
        table=_table(card),
        remarks=_remarks(card),
        starts=_starts(card),
        predictions=_predictions(card),
        excluded=_excluded(card.excluded),
    )


def _starts(card: Card) -> tuple[Start, ...]:
    """One for each setting, though several workloads have it."""
    if card.for_all is None:
        return ()
    commands = {card.for_all.setting: card.for_all.command}
    uses: dict[str, list[str]] = {card.for_all.setting: ["all workloads"]}
    for one in card.workloads:
        if one.setting != card.for_all.setting:
            commands[one.setting] = one.command
            uses.setdefault(one.setting, []).append(one.workload)
    several = len(card.workloads) > 1
    return tuple(
        Start(
            f"To start {setting} by hand"
            + (f", for {numbers.listed(uses[setting])}:" if several else ":"),
            command,
        )
        for setting, command in commands.items()
        if command is not None
    )


def _excluded(found: Iterable[Against]) -> Table:
    """A row for each reason: it is often that of a whole family."""
    settings: dict[str, list[str]] = {}
    for one in found:
        settings.setdefault(one.reason, []).append(one.setting)
    return Table(
        (SETTING, REASON), tuple((", ".join(names), reason) for reason, names in settings.items())
    )


def _headlines(card: Card) -> tuple[str, ...]:
    if card.fault is not None:
        return (f"Nothing to recommend: {card.fault}",)
    if not card.workloads:
        return ("Nothing to recommend: nothing was measured",)
    lines = [f"{one.workload}: {_answer(one, card.goal)}" for one in card.workloads]
    if card.for_all is not None and len(card.workloads) > 1:
        loss = "the best of each of them"
        if any(one.outcome is Outcome.UNPROVEN for one in card.workloads):
            loss += " as far as is proven"
        if card.for_all.regret:
            lost = behind(card.goal, card.for_all.regret)
            loss = f"at worst {lost} the best of {card.for_all.worst}"
        lines.append(f"all workloads: {card.for_all.setting}, {loss}")
    return tuple(lines)


def _figure(goal: TuningGoal, estimate: Estimate) -> str:
    if goal is TuningGoal.TTFT:
        return numbers.seconds_estimate(estimate)
    return numbers.rate_estimate(estimate)


def _answer(one: Recommendation, goal: TuningGoal) -> str:
    words = _WORDS[goal]
    shown = known(one.speedup, numbers.speedup)
    figure = ""
    if one.expected is not None:
        figure = f", {words.expected.format(_figure(goal, one.expected))}"
    if one.outcome is Outcome.FASTER:
        faithful = "" if one.lossless is None else f", {_faithful(one.lossless)}"
        alike = f"; cannot be told apart from {numbers.listed(one.alike)}" if one.alike else ""
        return f"{one.setting} is {shown} {THAN_PLAIN[goal]}{figure}{faithful}{alike}"
    if one.outcome is Outcome.PLAIN:
        return f"plain is best{figure}; the fastest setting beside it reads {shown}{words.reads}"
    guess = f", though {one.guess} reads {shown}" if one.guess is not None else ""
    return f"no setting proven faster than plain{words.where}{guess}: {one.missing}"


def _faithful(found: Lossless) -> str:
    if found.verdict is Verdict.IDENTICAL:
        return "lossless"
    return f"lossless but for near-ties in {found.near_ties} of {found.compared} answers"


def _table(card: Card) -> Table:
    words = _WORDS[card.goal]
    columns = (
        *(WORKLOAD, SETTING, words.figure, words.speedup, AFTER_PREFILL),
        *(ACCEPTANCE, ACCEPTANCE_LENGTH, MEMORY, LOSSLESS),
    )
    table = Table(
        columns,
        tuple(
            (
                one.workload,
                one.setting,
                known(one.expected, lambda value: _figure(card.goal, value)),
                known(one.speedup, numbers.speedup)
                if one.outcome is Outcome.FASTER
                else "reference",
                known(one.decode_rate, numbers.rate_estimate),
                known(one.acceptance, numbers.percent),
                known(one.acceptance_length, numbers.length),
                known(one.peak_memory, numbers.size),
                known(one.lossless, lossless_words),
            )
            for one in card.workloads
        ),
    )
    return table.without([AFTER_PREFILL] if card.goal is TuningGoal.DECODE else [])


def _remarks(card: Card) -> tuple[str, ...]:
    lines = list(_about_the_goal(card))
    lines += [f"{one.setting}: {one.reason}; it is not ruled out for that." for one in card.failed]
    if card.unmeasured:
        why = "the curve through the others told enough"
        if not card.complete:
            why = "the time was over before"
        elif card.cut_off:
            why = "as many launches as a tuning makes were over before"
        count = numbers.counted(card.unmeasured, "setting was", "settings were")
        lines.append(f"{count} not measured: {why}.")
    if not card.complete and card.fault is None:
        lines.append("More time would tell more: go on with --resume and a larger --budget.")
    if card.rounds:
        spent = f"{numbers.counted(card.rounds, 'round')} in {numbers.seconds(card.spent_s)}"
        if card.measured:
            spent += f", with {numbers.counted(card.measured, 'setting')} beside plain"
        if card.grid_s:
            spent += (
                f": about {numbers.whole_percent(card.spent_s / card.grid_s)} of the "
                f"{numbers.seconds(card.grid_s)} that {GRID_ROUNDS} rounds of all settings take"
            )
        lines.append(f"{spent}.")
    return tuple(lines)


def _about_the_goal(card: Card) -> Iterator[str]:
    tuned_for = _WORDS[card.goal].tuned_for
    if tuned_for is not None:
        yield tuned_for
    if card.plain != "plain":
        yield f"The plain decoding that all is held against: {card.plain}."
    for one in card.workloads:
        if one.cached:
            count = numbers.counted(one.cached, "prompt")
            yield (
                f"{one.workload}, {one.setting}: {count} came partly from a cache, so that the "
                "first token came sooner than after a whole prefill."
            )


def _predictions(card: Card) -> Table:
    return Table(
        (SETTING, WORKLOAD, ROUNDS, PREDICTED, _WORDS[card.goal].speedup, APART),
        tuple(
            (
                one.setting,
                one.workload,
                str(one.rounds),
                known(one.predicted, lambda value: f"{value:.2f}x"),
                numbers.speedup(one.speedup),
                known(_apart(one), lambda share: f"{share:+.1%}"),
            )
            for one in card.predictions
        ),
    )


def _apart(one: Prediction) -> float | None:
    return None if one.predicted is None else one.predicted / one.speedup.value - 1
