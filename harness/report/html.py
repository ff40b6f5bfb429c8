"""The report as one HTML file that needs nothing from outside itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.report import escape, step_costs, tuning
from harness.report.content import SYNTHETIC, Report
from harness.report.figures import Figure
from harness.report.side_by_side import HEADING, MEANINGS

HERE = Path(__file__).parent

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""No script, no request, no form. Styles are inline: the file has some, and so has each figure."""


def render(report: Report, figures: Sequence[Figure]) -> str:
    """A whole document, figures inline; all foreign text is escaped by jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: (
            escape.clean_lines(value)
            if isinstance(value, str) and not isinstance(value, Markup)
            else value
        ),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        synthetic=SYNTHETIC,
        side_by_side=HEADING,
        meanings=MEANINGS,
        step_costs=step_costs,
        tuning=tuning,
        policy=POLICY,
        # Both are this project's own: a style sheet beside this file, and matplotlib's drawings.
        css=Markup((HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        figures=[
            (figure.title, Markup(_inline(figure.svg, number)))  # noqa: S704
            for number, figure in enumerate(figures, 1)
        ],
    )


def _inline(svg: str, number: int) -> str:
    """The <svg> element alone, its ids made unique in the document and its comments dropped.

    matplotlib writes the text of every label into a comment; letters are drawn as paths, so
    nothing of the labels is left as text.
    """
    element = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S
    )
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\1f{number}-", element)
    return element.replace("<svg ", '<svg aria-hidden="true" ', 1)
