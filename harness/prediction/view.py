"""A prediction on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.prediction.outlook import (
    Measured,
    Outlook,
    Prediction,
    Setting,
    Target,
    WorkloadOutlook,
)
from harness.prediction.speedups import Range
from harness.report.escape import clean
from harness.report.numbers import bandwidth, counted, rate

FOOT = (
    "Ranges are what would not surprise: acceptance over other texts of the kind, the published "
    "shares of a ceiling, and the costs named above. Decoding one request; nothing of it was "
    "measured there."
)


def render(prediction: Prediction) -> RenderableType:
    """What `bench predict` prints: what it stands on, the settings of each workload, the best."""
    parts: list[RenderableType] = []
    check = prediction.question.is_check
    for workload in prediction.workloads:
        parts += [*_workload(workload, prediction.measured_on, check), Text()]
    parts += [_note(note) for note in prediction.notes]
    if check and any(workload.rate is not None for workload in prediction.workloads):
        parts.append(_text(_score(prediction), "bold"))
    return Group(*parts, _text(FOOT, "dim"))


def _workload(outlook: WorkloadOutlook, measured_on: str, check: bool) -> Iterable[RenderableType]:
    title = f"{outlook.workload}, up to {outlook.max_tokens} tokens: {outlook.model}"
    yield _text(f"{title}, {outlook.plain}", "bold")
    yield _facts(outlook, measured_on)
    if outlook.unknown is not None:
        yield _note(f"nothing to predict: {outlook.unknown}")
        return
    yield _table(outlook, check)
    for one in outlook.outlooks:
        yield from _family(one)
    for note in outlook.notes:
        yield _note(note)


def _facts(outlook: WorkloadOutlook, measured_on: str) -> Table:
    target = outlook.target
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("measured on", _text(measured_on))
    table.add_row("predicted for", _text(f"{target.name}, {_bandwidth(target)}"))
    share = target.share
    reached = f"{share.low:.0%} to {share.high:.0%} of it, {share.middle:.0%} in the middle"
    if outlook.ceiling is not None:
        depth = f"{outlook.depth or 0:.0f} tokens of context"
        table.add_row("plain's ceiling", _text(f"{rate(outlook.ceiling)} tok/s at {depth}"))
    table.add_row("reached", _text(f"{reached} ({share.source})"))
    for line in dict.fromkeys(_costs(outlook.outlooks)):
        table.add_row("a row more", _text(line))
    return table


def _bandwidth(target: Target) -> str:
    return f"{bandwidth(target.bandwidth)} ({target.origin})"


def _costs(outlooks: Sequence[Outlook]) -> Iterable[str]:
    for outlook in outlooks:
        alike = all(outlook.costs == other.costs for other in outlooks if other.settings)
        whose = "" if alike else f"{outlook.name}: "
        for cost in outlook.costs if outlook.settings else ():
            fixed = f", and {cost.fixed:g} for a step of a drafter" if cost.fixed else ""
            yield f"{whose}{cost.per_row:.2g} plain steps{fixed}: {cost.source}"


def _table(outlook: WorkloadOutlook, check: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    headings = ["setting", "k", "τ", "drafted", "ceiling tok/s", "x plain", "tok/s"]
    headings += ["measured x", "measured tok/s"] if check else []
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    cells = ["plain", "–", "–", "–", rate(outlook.ceiling or 0), "–", _rates(outlook.rate)]
    table.add_row(*cells, *(_measured(outlook.measured, None, outlook.rate) if check else ()))
    for one in outlook.outlooks:
        for setting in one.settings:
            best = setting.draft_tokens == one.best
            table.add_row(*_cells(one, setting, check), style="bold green" if best else "")
    return table


def _cells(outlook: Outlook, setting: Setting, check: bool) -> list[str]:
    figures = setting.figures
    cells = [
        clean(outlook.name),
        f"{setting.draft_tokens}",
        _lengths(figures.tau),
        f"{figures.drafted:.2f}",
        rate(setting.ceiling),
        _lengths(figures.speedup),
        _rates(setting.rate),
    ]
    if check:
        cells += _measured(setting.measured, figures.speedup, setting.rate)
    return cells


def _measured(
    measured: Measured | None, speedup: Range | None, expected: Range | None
) -> list[str]:
    if measured is None:
        return ["", ""]
    return [
        "–"
        if measured.speedup is None
        else _lengths(measured.speedup) + _beside(measured.speedup, speedup),
        "–"
        if measured.rate is None
        else rate(measured.rate.middle) + _beside(measured.rate, expected),
    ]


def _beside(measured: Range, expected: Range | None) -> str:
    return " !" if expected is not None and measured.apart(expected) else ""


def _family(outlook: Outlook) -> Iterable[Text]:
    if outlook.unknown is not None:
        yield _note(f"{outlook.name}: nothing to predict: {outlook.unknown}")
        return
    yield _text(f"{outlook.name}: {_best(outlook)}", "bold")
    if outlook.held:
        told = ", ".join(
            f"k = {held.draft_tokens}: {held.predicted:.2f}, measured {held.measured:.2f} "
            f"({round(held.error, 2) + 0.0:+.0%})"
            for held in outlook.held
        )
        yield _text(f"  τ predicted from the longest drafts: {told}", "dim")
    for note in outlook.notes:
        yield _note(f"{outlook.name}: {note}")


def _best(outlook: Outlook) -> str:
    best = "plain is best" if outlook.best == 0 else f"k = {outlook.best}"
    shortest, longest = outlook.could_be_best
    if shortest == longest:
        return f"{best}, and nothing else within the error bars"
    if shortest > 0:
        return f"{best}; from {shortest} to {longest} within the error bars"
    if outlook.best == 0:
        return f"{best}; k up to {longest} within the error bars"
    up_to = f"; up to {longest} within the error bars" if longest > 1 else ""
    return f"{best}{up_to}, and plain could be best"


def _score(prediction: Prediction) -> str:
    """How many measured figures lie within their ranges, or meet them with their own intervals."""
    speedups: list[tuple[Range, Range]] = []
    rates: list[tuple[Range, Range]] = []
    for workload in prediction.workloads:
        settings = [setting for one in workload.outlooks for setting in one.settings]
        speedups += [
            (setting.measured.speedup, setting.figures.speedup)
            for setting in settings
            if setting.measured is not None and setting.measured.speedup is not None
        ]
        rates += [
            (measured.rate, expected)
            for measured, expected in [
                (workload.measured, workload.rate),
                *((setting.measured, setting.rate) for setting in settings),
            ]
            if measured is not None and measured.rate is not None and expected is not None
        ]
    return (
        "Held against the run itself: "
        f"{_counted(speedups, 'speed-up')}; {_counted(rates, 'decode rate')}. "
        "! marks what is outside with the whole of its own interval."
    )


def _counted(pairs: Sequence[tuple[Range, Range]], what: str) -> str:
    within = sum(measured.middle in expected for measured, expected in pairs)
    meet = sum(not measured.apart(expected) for measured, expected in pairs)
    return (
        f"{within} of {counted(len(pairs), what)} within the error bars, "
        f"{meet - within} more by their own interval"
    )


def _lengths(values: Range) -> str:
    return f"{values.middle:.2f} ({values.low:.2f}–{values.high:.2f})"


def _rates(values: Range | None) -> str:
    if values is None:
        return "–"
    return f"{rate(values.middle)} ({rate(values.low)}–{rate(values.high)})"


def _note(text: str) -> Text:
    return _text(f"- {text}", "yellow")


def _text(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style)
