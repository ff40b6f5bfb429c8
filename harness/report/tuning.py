"""The card of a tuning in words and tables, free of any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.lossless import Lossless, Verdict
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
from harness.suite import MOST_FOR_TUNING
from harness.tune.card import GRID_ROUNDS, Card, Prediction, Recommendation
from harness.tune.search import Outcome

HEADING = "Recommended settings"
PREDICTIONS = "Predicted and measured"
EXCLUDED = "Settings that cannot be recommended"
PREDICTED_MEANING = (
    "What the curve through the other draft lengths says of a setting that was measured. The "
    "longest of a family is not predicted: a curve says nothing beyond its end."
)
EXCLUDED_MEANING = "They failed, drafted nothing that was accepted, or wrote another text."

MEMORY = Column("peak memory")
ROUNDS = Column("rounds")
PREDICTED = Column("predicted")
APART = Column("apart")


@dataclass(frozen=True)
class TuningSection:
    """A card for every format to print."""

    card: Card
    headlines: tuple[str, ...]
    """The answer for each workload, and for all of them."""
    table: Table
    remarks: tuple[str, ...]
    command: str | None
    """What starts the setting for all workloads."""
    predictions: Table
    excluded: Table


def tuning_section(card: Card) -> TuningSection:
    return TuningSection(
        card=card,
        headlines=_headlines(card),
        table=_table(card.workloads),
        remarks=_remarks(card),
        command=None if card.for_all is None else card.for_all.command,
        predictions=_predictions(card.predictions),
        excluded=Table((SETTING, REASON), tuple((e.setting, e.reason) for e in card.excluded)),
    )


def _headlines(card: Card) -> tuple[str, ...]:
    if card.fault is not None:
        return (f"Nothing to recommend: {card.fault}",)
    if not card.workloads:
        return ("Nothing to recommend: nothing was measured",)
    lines = [f"{one.workload}: {_answer(one)}" for one in card.workloads]
    if card.for_all is not None and len(card.workloads) > 1:
        loss = (
            f"at worst {numbers.percent(card.for_all.regret)} below the best of "
            f"{card.for_all.worst}"
            if card.for_all.regret
            else "the best of each of them"
        )
        lines.append(f"all workloads: {card.for_all.setting}, {loss}")
    return tuple(lines)


def _answer(one: Recommendation) -> str:
    shown = known(one.speedup, numbers.speedup)
    rate = "" if one.decode_rate is None else f", {numbers.rate_estimate(one.decode_rate)} tok/s"
    if one.outcome is Outcome.FASTER:
        faithful = "" if one.lossless is None else f", {_faithful(one.lossless)}"
        alike = f"; cannot be told apart from {numbers.listed(one.alike)}" if one.alike else ""
        return f"{one.setting} is {shown} plain{rate}{faithful}{alike}"
    if one.outcome is Outcome.PLAIN:
        return f"plain is best{rate}; the fastest setting beside it reads {shown}"
    guess = f", though {one.guess} reads {shown}" if one.guess is not None else ""
    return f"no setting proven faster than plain{guess}: {one.missing}"


def _faithful(found: Lossless) -> str:
    if found.verdict is Verdict.IDENTICAL:
        return "lossless"
    return f"lossless but for near-ties in {found.near_ties} of {found.compared} answers"


def _table(workloads: Sequence[Recommendation]) -> Table:
    columns = (
        *(WORKLOAD, SETTING, DECODE_RATE, SPEEDUP),
        *(ACCEPTANCE, ACCEPTANCE_LENGTH, MEMORY, LOSSLESS),
    )
    return Table(
        columns,
        tuple(
            (
                one.workload,
                one.setting,
                known(one.decode_rate, numbers.rate_estimate),
                known(one.speedup, numbers.speedup)
                if one.outcome is Outcome.FASTER
                else "reference",
                known(one.acceptance, numbers.percent),
                known(one.acceptance_length, numbers.length),
                known(one.peak_memory, numbers.size),
                known(one.lossless, lossless_words),
            )
            for one in workloads
        ),
    )


def _remarks(card: Card) -> tuple[str, ...]:
    lines = []
    if card.unmeasured:
        why = "the curve through the others told enough"
        if not card.complete:
            why = "the time was over before"
        elif card.rounds >= MOST_FOR_TUNING:
            why = f"{card.rounds} rounds were over before"
        count = numbers.counted(card.unmeasured, "setting was", "settings were")
        lines.append(f"{count} not measured: {why}.")
    if not card.complete and card.fault is None:
        lines.append("More time would tell more: go on with --resume and a larger --budget.")
    if card.rounds:
        measured = numbers.counted(card.measured, "setting")
        spent = f"{numbers.counted(card.rounds, 'round')} of {measured} beside plain"
        spent += f" in {numbers.seconds(card.spent_s)}"
        if card.grid_s:
            spent += (
                f": about {numbers.whole_percent(card.spent_s / card.grid_s)} of the "
                f"{numbers.seconds(card.grid_s)} that {GRID_ROUNDS} rounds of all settings take"
            )
        lines.append(f"{spent}.")
    return tuple(lines)


def _predictions(found: Sequence[Prediction]) -> Table:
    return Table(
        (SETTING, WORKLOAD, ROUNDS, PREDICTED, SPEEDUP, APART),
        tuple(
            (
                one.setting,
                one.workload,
                str(one.rounds),
                known(one.predicted, lambda value: f"{value:.2f}x"),
                numbers.speedup(one.speedup),
                known(_apart(one), lambda share: f"{share:+.1%}"),
            )
            for one in found
        ),
    )


def _apart(one: Prediction) -> float | None:
    return None if one.predicted is None else one.predicted / one.speedup.value - 1
