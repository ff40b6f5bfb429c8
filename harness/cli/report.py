"""`bench report`: write a run's reports again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.errors import FAILED, reported


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
) -> None:
    """Write the reports of a run again, from its samples alone; also of an interrupted one.

    Makes report.md, report.html, summary.csv and the figures anew and prints the table. Exit
    status 1, as of the sweep itself, when something failed or is still to be measured.
    """
    from harness.cli.outcome import show_outcome  # noqa: PLC0415

    with reported():
        raise typer.Exit(FAILED if show_outcome(run) else 0)
