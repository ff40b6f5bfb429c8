"""`bench doctor`: this machine and the runners on it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.errors import reported


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Show this machine, its memory bandwidth, the runners found and what each can do.

    For a runner that is not found it says what to do about it. Takes two seconds, most of them
    spent measuring the memory.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.doctor.doctor import examine, runners_here  # noqa: PLC0415
    from harness.doctor.view import render  # noqa: PLC0415

    with reported():
        diagnosis = examine(runners_here())
        if as_json:
            typer.echo(diagnosis.model_dump_json(indent=2))
        else:
            Console().print(render(diagnosis))
