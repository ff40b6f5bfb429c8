"""`bench share`: a run as one row, one footnote and one file that proves them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.errors import FAILED, USAGE, complain, reported


def share(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the JSON goes. Default: share.json in the run."),
    ] = None,
    plain: Annotated[
        str | None,
        typer.Option(
            metavar="SETTING",
            help="The plain setting that the row is of, where a run has several: one for each "
            "runner, model, or set of options.",
        ),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compute a shared row and footnote anew from the file alone, and compare; with "
            "RUN also hold the file against the run. Writes nothing.",
        ),
    ] = None,
) -> None:
    """Print a run as a row of a table and a footnote in Markdown, and write a JSON with all of it.

    The JSON holds every sample's figures and no answer, so that anyone can compute the row anew.
    What names a person, a machine or a folder is left out.

    Exit status of --verify: 0 it is as it says, 1 it is not.

    Examples:

      bench share results/sweep-20260101-120000

      bench share --verify share.json

      bench share --verify share.json results/sweep-20260101-120000
    """
    if verify is not None:
        if out is not None or plain is not None:
            raise typer.BadParameter("--verify goes with no option but a RUN")
        _verify(verify, run)
    elif run is None:
        raise typer.BadParameter("name the folder of a run, or --verify FILE")
    else:
        _share(run, out or run / "share.json", plain)


def _share(run: Path, out: Path, plain: str | None) -> None:
    from harness.share.make import make_share  # noqa: PLC0415
    from harness.share.share import ShareError  # noqa: PLC0415
    from harness.share.write import write_share  # noqa: PLC0415

    with reported():
        try:
            made = make_share(run, plain)
            write_share(made, out)
        except ShareError as error:
            complain(str(error))
            raise typer.Exit(USAGE) from None
    typer.echo(f"{made.header}\n{made.row}\n\n{made.footnote}")
    typer.echo(f"Written: {out}", err=True)


def _verify(file: Path, run: Path | None) -> None:
    from harness.share.share import ShareError  # noqa: PLC0415
    from harness.share.verify import NotAShareError, fault_of, read_share  # noqa: PLC0415

    with reported():
        try:
            fault = fault_of(read_share(file), run)
        except NotAShareError as error:
            complain(str(error))
            raise typer.Exit(USAGE) from None
        except ShareError as error:
            fault = str(error)
    if fault is not None:
        complain(f"does not verify: {fault}")
        raise typer.Exit(FAILED)
    typer.echo("verified")
