"""`bench compare`: two runs, or two sets of arms of one, trial by trial."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.errors import reported


def compare(
    baseline: Annotated[
        str,
        typer.Argument(
            metavar="BASELINE",
            help="The folder of a run, or FOLDER:NAME for those of its arms that NAME stands for: "
            "a runner, a setting or a method.",
        ),
    ],
    candidate: Annotated[
        str | None,
        typer.Argument(
            metavar="CANDIDATE",
            help="What is held against it. Not needed for a run of bench ab, which holds both.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Compare even where another machine or model makes a ratio meaningless."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a comment.")
    ] = False,
) -> None:
    """Say of each trial whether CANDIDATE is faster or slower than BASELINE, and how sure that is.

    Names first in what the two differ: machine, model, versions, options, prompts. Changes nothing
    on disk. Exit status 0 whatever came of it: bench gate is what fails.

    Examples:

      bench compare results/monday results/tuesday

      bench compare results/a-run:none results/a-run:ngram-mod-k4

      bench compare results/an-ab-run --markdown
    """
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown are two formats: choose one")
    with reported():
        from harness.compare.comparison import compare as compared  # noqa: PLC0415
        from harness.compare.side import read_sides  # noqa: PLC0415

        comparison = compared(*read_sides(baseline, candidate), force=force)
        if as_json:
            from harness.compare.json import render as render_json  # noqa: PLC0415

            typer.echo(render_json(comparison))
        elif as_markdown:
            from harness.compare.markdown import render as render_markdown  # noqa: PLC0415

            typer.echo(render_markdown(comparison), nl=False)
        else:
            from harness.compare.terminal import print_comparison  # noqa: PLC0415
            from harness.report.text_table import console_for_text  # noqa: PLC0415

            print_comparison(comparison, console_for_text())
