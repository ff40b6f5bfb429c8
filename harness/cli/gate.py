"""`bench gate`: whether a candidate is slower than its baseline, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.errors import reported
from harness.quantities import parse_share

SIDE = "FOLDER[:NAME]"


def _threshold(text: str) -> str:
    try:
        parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def gate(  # noqa: PLR0917 - typer reads the options off the parameters
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="The folder of a run of bench ab, which holds both sides.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar=SIDE,
            help="What the candidate is held against: the folder of a run, or after a colon a "
            "runner, setting or method of it.",
        ),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar=SIDE, help="What is judged, named in the same way.")
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            callback=_threshold,
            help="The loss that is put up with, of each trial's decode rate and of every other "
            "figure: 5% or 0.05.",
        ),
    ] = "5%",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Judge even where another machine or model makes a ratio meaningless."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of the tables.")
    ] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write Markdown there too. It is added to a GitHub job's summary in any case.",
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JUnit XML there too.")
    ] = None,
    annotations: Annotated[
        bool,
        typer.Option(
            "--annotations",
            envvar="GITHUB_ACTIONS",
            show_envvar=False,
            help="Print GitHub annotations to standard error; within GitHub Actions that is so in "
            "any case.",
        ),
    ] = False,
) -> None:
    """Tell whether a candidate lost speed: passed, regressed, or not to be told with these rounds.

    A trial is regressed where the whole interval of its ratio lies beyond the threshold. The
    verdict says what it could have seen, and how many rounds would see the threshold.

    Exit status: 0 passed, 1 regressed (or an output file that cannot be written), 2 wrong usage or
    input, 3 inconclusive.

    Examples:

      bench gate runs/ab

      bench gate runs/ab --threshold 3% --junit gate.xml

      bench gate --baseline runs/last-night --candidate runs/tonight --json
    """
    if run is not None and (baseline is not None or candidate is not None):
        raise typer.BadParameter("give a RUN that holds both sides, or --baseline and --candidate")
    if run is None and (baseline is None or candidate is None):
        raise typer.BadParameter("give --baseline and --candidate, or a RUN that holds both sides")
    with reported():
        from harness.cli.verdict import tell  # noqa: PLC0415
        from harness.gate.gate import gate as judged  # noqa: PLC0415

        found = judged(
            run or baseline or "", candidate, threshold=parse_share(threshold), force=force
        )
        raise typer.Exit(
            tell(found, as_json=as_json, annotate=annotations, page=markdown, junit_file=junit)
        )
