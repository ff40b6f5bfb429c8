"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.report import escape, step_costs, tuning
from harness.report.content import SYNTHETIC, Report
from harness.report.facts import Fact, FactGroup
from harness.report.figures import Figure
from harness.report.side_by_side import HEADING, MEANINGS
from harness.report.tables import Table
from harness.report.tuning import TuningSection


def render(report: Report, figures: Sequence[Figure]) -> str:
    """A whole document; `figures` are linked as figures/NAME.svg beside it."""
    return "\n\n".join(_blocks(report, figures)) + "\n"


def _blocks(report: Report, figures: Sequence[Figure]) -> Iterator[str]:
    yield f"# {escape.markdown(report.title)}"
    yield escape.markdown(report.subtitle)
    for warning in report.warnings:
        yield f"> **{escape.markdown(warning)}**"
    yield "\n".join(f"- **{escape.markdown(line)}**" for line in report.headlines)
    if report.tuning is not None:
        yield from _tuning(report.tuning)
    yield "## Results"
    yield _table(report.table)
    if report.remarks:
        yield _list(report.remarks)
    for figure in figures:
        yield f"![{escape.markdown(figure.title)}](figures/{figure.name}.svg)"
    sides, costs = report.side_by_side, report.step_costs
    yield from _section(HEADING, f"{sides.explanation} {MEANINGS}", sides.table, sides.remarks)
    yield from _section("Synthetic acceptance", SYNTHETIC, report.synthetic)
    yield from _section(step_costs.HEADING, step_costs.MEANING, costs.table, costs.remarks)
    if report.failures.rows:
        yield "## Failures"
        yield _table(report.failures)
    yield "## Behind the results"
    yield _table(report.details)
    yield from _group(report.machine, "##")
    yield "## Runners"
    for group in report.runners:
        yield from _group(group, "###")
    if report.models:
        yield "## Models"
    for group in report.models:
        yield from _group(group, "###")
    yield from _group(report.method, "##")
    yield "## Commands"
    for command in report.commands:
        yield f"{escape.markdown(command.setting)}:"
        yield escape.markdown_fence(command.command)
    yield from _group(FactGroup("Files", report.files), "##")
    yield from _group(FactGroup("Words", report.legend), "##")


def _tuning(section: TuningSection) -> Iterator[str]:
    yield from _section(tuning.HEADING, tuning.MEANING, section.table, section.remarks)
    for start in section.starts:
        yield escape.markdown(start.heading)
        yield escape.markdown_fence(start.command)
    yield from _section(tuning.PREDICTIONS, tuning.PREDICTED_MEANING, section.predictions)
    yield from _section(tuning.EXCLUDED, tuning.EXCLUDED_MEANING, section.excluded)


def _section(
    heading: str, meaning: str, table: Table, remarks: Sequence[str] = ()
) -> Iterator[str]:
    """A table with what it means; nothing where it has no rows."""
    if not table.rows:
        return
    yield f"## {heading}"
    if meaning:
        yield escape.markdown(meaning)
    yield _table(table)
    if remarks:
        yield _list(remarks)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escape.markdown(line)}" for line in lines)


def _group(group: FactGroup, level: str) -> Iterator[str]:
    yield f"{level} {escape.markdown(group.heading)}"
    yield "\n".join(map(_fact, group.facts))


def _fact(fact: Fact) -> str:
    return f"- {escape.markdown(fact.name)}: {escape.markdown(fact.value)}"


def _table(table: Table) -> str:
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    lines = [[column.heading for column in table.columns], *table.rows]
    cells = [[_cell(text) for text in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rules, *cells[1:]))


def _cell(text: str) -> str:
    return "<br>".join(escape.markdown(entry) for entry in text.split("\n"))
