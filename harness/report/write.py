"""Writes every report of a run into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.report import csv, html, markdown
from harness.report.content import Report
from harness.report.figures import draw_figures


@dataclass(frozen=True)
class Written:
    """Where the reports are."""

    markdown: Path
    html: Path
    csv: Path
    side_by_side: Path | None
    """None where the run has no runners to compare."""
    figures: tuple[Path, ...]


def write_reports(report: Report, folder: Path) -> Written:
    """Write report.md, report.html, summary.csv and figures/*.svg; older ones are replaced.

    With side_by_side.csv, where there are runners to compare.

    Raises:
        OSError: the folder cannot be written to.
    """
    figures = draw_figures(report.rows)
    drawings = folder / "figures"
    drawings.mkdir(parents=True, exist_ok=True)
    for stale in drawings.glob("*.svg"):
        stale.unlink()
    groups = report.side_by_side.groups
    return Written(
        markdown=_write(folder / "report.md", markdown.render(report, figures)),
        html=_write(folder / "report.html", html.render(report, figures)),
        csv=_write(folder / "summary.csv", csv.render(report.rows)),
        side_by_side=_write(folder / "side_by_side.csv", csv.render_side_by_side(groups))
        if groups
        else None,
        figures=tuple(_write(drawings / f"{figure.name}.svg", figure.svg) for figure in figures),
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
