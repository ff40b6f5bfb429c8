"""`bench inspect`: what a model's files say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.errors import reported


def _cache_type(name: str) -> str:
    from harness.theory.ceiling import CACHE_TYPE_BYTES  # noqa: PLC0415

    if name not in CACHE_TYPE_BYTES:
        raise typer.BadParameter(f"unknown type {name!r}; known are {', '.join(CACHE_TYPE_BYTES)}")
    return name


def inspect(  # noqa: PLR0917 - typer reads the options off the parameters
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A GGUF file (of a split one, any part), or a folder of Hugging Face's or MLX's.",
        ),
    ],
    draft_model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A model or drafter that is to draft for it."),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            metavar="TOKENS",
            min=1,
            max=1_000_000_000,
            help="Tokens of context that the cache is counted for. "
            "Default: 4096, or what the model was trained on where that is less.",
        ),
    ] = None,
    cache_type_k: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            callback=_cache_type,
            help="Type of the cache's keys, as llama.cpp names it: f16, q8_0, q4_0, …",
        ),
    ] = "f16",
    cache_type_v: Annotated[
        str,
        typer.Option(metavar="TYPE", callback=_cache_type, help="The same for its values."),
    ] = "f16",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Show what a token reads of a model, what the context takes, and whether it all fits.

    Only headers are read: a file of any size takes about a second.
    A runner's buffers come on top of what is said to be needed.

    Examples:

      bench inspect model.gguf

      bench inspect model-00001-of-00003.gguf --context 32768 --cache-type-k q8_0

      bench inspect model.gguf --draft-model small.gguf --json
    """
    from harness.inspection.inspection import inspect as inspected  # noqa: PLC0415

    with reported():
        inspection = inspected(
            model,
            draft=draft_model,
            context=context,
            key_type=cache_type_k,
            value_type=cache_type_v,
        )
        if as_json:
            typer.echo(inspection.model_dump_json(indent=2))
        else:
            from rich.console import Console  # noqa: PLC0415

            from harness.inspection.view import render  # noqa: PLC0415

            Console().print(render(inspection))
