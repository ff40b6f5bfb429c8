"""`bench predict`: what a run's acceptance promises on other hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.errors import reported


def predict(  # noqa: PLR0917 - typer reads the options off the parameters
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    hardware: Annotated[
        str | None,
        typer.Option(
            help="Hardware of the table, such as 'RTX 4090', 'M4 Pro', 'DDR5-5600 2-channel'."
        ),
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Memory bandwidth, as 1008GB/s; goes before --hardware's.")
    ] = None,
    verify_cost: Annotated[
        float | None,
        typer.Option(help="Known cost of each further row of a verification, in plain steps."),
    ] = None,
    draft_cost: Annotated[
        float | None, typer.Option(help="Known cost of drafting one token, in plain steps.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Tell what to expect of a run's model and drafts on other hardware, with error bars.

    Acceptance is a property of the models and the text, so it is taken from the run; the model
    files themselves are not needed. Without --hardware and --bandwidth the run's own machine is
    predicted, and held against what was measured there.

    Examples:

      bench predict results/my-run --hardware "RTX 4090"

      bench predict results/my-run --bandwidth 400GB/s --verify-cost 0.3
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.prediction import json, view  # noqa: PLC0415
    from harness.prediction.errors import PredictionError  # noqa: PLC0415
    from harness.prediction.outlook import Question  # noqa: PLC0415
    from harness.prediction.prediction import predict as predicted  # noqa: PLC0415
    from harness.quantities import parse_bandwidth  # noqa: PLC0415
    from harness.run_folder import read_run  # noqa: PLC0415

    with reported():
        try:
            given = None if bandwidth is None else parse_bandwidth(bandwidth)
        except ValueError as error:
            raise PredictionError(f"--bandwidth: {error}") from error
        question = Question(hardware, given, verify_cost, draft_cost)
        found = predicted(read_run(run), question)
        if as_json:
            typer.echo(json.render(found))
        else:
            Console().print(view.render(found))
