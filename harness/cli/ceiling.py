"""`bench ceiling`: the calculator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from harness.cli.errors import reported

T = TypeVar("T")


def ceiling(  # noqa: PLR0917 - typer reads the options off the parameters
    model: Annotated[
        Path | None,
        typer.Argument(help="A GGUF file or a model folder; only headers are read."),
    ] = None,
    read_bytes: Annotated[
        str | None,
        typer.Option("--bytes", help="Without a model: what one token reads, as 14GB or 13GiB."),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            help="Hardware of the table, such as 'RTX 4090', 'M4 Pro', 'DDR5-5600 2-channel'."
        ),
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Memory bandwidth, as 1008GB/s; goes before --hardware.")
    ] = None,
    depth: Annotated[
        str, typer.Option(help="Tokens of context: 0, or a list such as 0,8192,32768.")
    ] = "0",
    method: Annotated[
        str, typer.Option(help="How drafts are made: none, mtp, draft-model or ngram.")
    ] = "none",
    draft_model: Annotated[
        Path | None, typer.Option(help="The draft model, or the file of the MTP heads.")
    ] = None,
    draft_tokens: Annotated[
        str | None, typer.Option(help="Tokens of a draft: 4, 1-8, or 2,4,8.")
    ] = None,
    acceptance: Annotated[
        str | None,
        typer.Option(
            help="Share of draft tokens accepted after accepted ones, as 0.65; or the shares of "
            "steps that accept the first, the second, ... token, as 0.9,0.7,0.5."
        ),
    ] = None,
    verify_cost: Annotated[
        float | None,
        typer.Option(help="Measured cost of each further row of a verification, in plain steps."),
    ] = None,
    draft_cost: Annotated[
        float | None, typer.Option(help="Measured cost of drafting one token, in plain steps.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the ceilings into this .svg, .png or .pdf file.")
    ] = None,
) -> None:
    """Work out how fast memory bandwidth lets a model decode, plain and with drafts.

    Without --hardware and --bandwidth the memory of this machine is measured, and the bandwidth
    of its GPU looked up; the figure that is used is marked.

    Examples:

      bench ceiling --bytes 14GB --hardware "RTX 4090"

      bench ceiling qwen.gguf --depth 0,32768

      bench ceiling qwen-mtp.gguf --method mtp --draft-tokens 1-8 --acceptance 0.65
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.calculator.calculator import (  # noqa: PLC0415
        Drafting,
        Question,
        answer,
        parse_drafting,
    )
    from harness.calculator.plot import check_plot, save_plot  # noqa: PLC0415
    from harness.calculator.view import render  # noqa: PLC0415
    from harness.quantities import parse_bandwidth, parse_shares, parse_size  # noqa: PLC0415
    from harness.suite_values import parse_numbers  # noqa: PLC0415

    with reported():
        if plot is not None:
            check_plot(plot)
        found = answer(
            Question(
                model=model,
                read_bytes=_value("--bytes", parse_size, read_bytes),
                hardware=hardware,
                bandwidth=_value("--bandwidth", parse_bandwidth, bandwidth),
                depths=_value("--depth", parse_numbers, depth) or (),
                drafting=_value("--method", parse_drafting, method) or Drafting.NONE,
                draft_model=draft_model,
                draft_tokens=_value("--draft-tokens", parse_numbers, draft_tokens) or (),
                acceptance=_value("--acceptance", parse_shares, acceptance) or (),
                verify_cost=verify_cost,
                draft_cost=draft_cost,
            )
        )
        if plot is not None:
            save_plot(found, plot)
        if as_json:
            typer.echo(found.model_dump_json(indent=2))
        else:
            Console().print(render(found))


def _value(flag: str, parse: Callable[[str], T], text: str | None) -> T | None:
    from harness.calculator.calculator import CalculatorError  # noqa: PLC0415

    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise CalculatorError(f"{flag}: {error}") from error
