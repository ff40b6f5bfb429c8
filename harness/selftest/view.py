"""A self-test as text for a terminal or a log, and as JSON."""

from __future__ import annotations

import json

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from harness.gate.words import percent, signed
from harness.report import numbers
from harness.report.tables import Column, Table
from harness.report.text_table import console_for_text, text_table
from harness.selftest.nights import Nights
from harness.selftest.outcome import MOST_FALSE_ALARMS, SelfTest, TrialNoise

SCHEMA_VERSION = 1


def render_json(found: SelfTest) -> str:
    """One object: `SelfTest` by its fields' names, and what follows from them; docs/ab.md."""
    told = TypeAdapter(SelfTest).dump_python(found, mode="json")
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "passed": found.passed,
            "false_alarms": found.nights.false_alarms,
            **told,
        },
        indent=2,
    )


def show(found: SelfTest, console: Console | None = None) -> None:
    """Print whether it passed, the nights, and the noise of each trial."""
    console = console or console_for_text()
    style = "bold green" if found.passed else "bold red"
    console.print(Text(_headline(found), style=style))
    console.print(Text(f"This run itself: {found.decision}."))
    console.print(Text(_nights(found.nights, found.threshold)))
    if not found.trials:
        return
    rounds, noise, change = Column("rounds"), Column("noise of a round"), Column("change")
    content = Table(
        (
            Column("trial", "left"),
            rounds,
            noise,
            change,
            Column("seen from"),
            Column(f"rounds needed for {percent(found.threshold)}"),
        ),
        tuple(map(_cells, found.trials)),
    )
    console.print()
    console.print(text_table(content, console.width, (rounds, change, noise)))


def _headline(found: SelfTest) -> str:
    if not found.nights.count:
        return "Self-test failed: there are no decode rates to judge"
    alarms = f"false alarms in {percent(found.nights.false_alarms)} of nights"
    allowed = f"at most {percent(MOST_FALSE_ALARMS)} are promised"
    return f"Self-test {'passed' if found.passed else 'failed'}: {alarms}, {allowed}"


def _nights(nights: Nights, threshold: float) -> str:
    which = "every way" if nights.is_all else "ways drawn at random"
    return (
        f"{numbers.counted(nights.count, 'night')} made of these rounds by swapping labels "
        f"({which}), at a threshold of {percent(threshold)}: {nights.regressed} regressed, "
        f"{nights.inconclusive} inconclusive; {nights.faster} called faster."
    )


def _cells(trial: TrialNoise) -> tuple[str, ...]:
    change = signed(trial.ratio)
    if trial.interval is not None:
        change += f" [{signed(trial.interval.low)}, {signed(trial.interval.high)}]"
    return (
        trial.trial,
        str(trial.rounds),
        numbers.UNKNOWN if trial.noise is None else f"{trial.noise:.1%}",
        change,
        numbers.UNKNOWN if trial.smallest is None else numbers.percent(trial.smallest),
        numbers.UNKNOWN if trial.rounds_needed is None else str(trial.rounds_needed),
    )
