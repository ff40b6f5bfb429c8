"""The `bench` command: options in, calls out; nothing is decided here."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from harness.cli import (
    ab,
    ceiling,
    compare,
    doctor,
    gate,
    inspect,
    predict,
    report,
    selftest,
    share,
    sweep,
    tune,
)
from harness.cli.errors import FAILED, USAGE, complain, hear_runners

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Find the fastest lossless way to decode with the LLM runners on this machine.\n\n"
        "[bold]bench sweep[/bold] measures plain decoding against ways of speculating, over real "
        "prompts, and writes a report that says which setting to use, by how much it is faster, "
        "and how far it is from what memory bandwidth allows."
    ),
    epilog=(
        "Exit status: 0 measured or passed, 1 something failed or regressed, 2 wrong usage or "
        "input, 3 a gate that cannot tell, 130 interrupted."
    ),
)
app.command("sweep")(sweep.sweep)
app.command("tune")(tune.tune)
app.command("ab")(ab.ab)
app.command("gate")(gate.gate)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("share")(share.share)
app.command("selftest")(selftest.selftest)
app.command("inspect")(inspect.inspect)
app.command("ceiling")(ceiling.ceiling)
app.command("predict")(predict.predict)
app.command("doctor")(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        from harness.manifest import version  # noqa: PLC0415

        typer.echo(f"decodebench {version()}")
        raise typer.Exit


@app.callback()
def bench(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options before any command."""


def main() -> None:
    """Entry point of the `bench` command."""
    # A report's text goes to files and pipes of any encoding; a missing glyph is no failure.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    for argument in sys.argv[1:]:
        if not argument.isascii() and argument.encode(errors="replace").decode() != argument:
            complain(f"{argument!a} is not UTF-8 text, which a run's files could not hold")
            sys.exit(USAGE)
    hear_runners()
    try:
        try:
            app()
        finally:
            # None where it was closed before the start.
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        # Whatever is still in the buffer cannot be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno != errno.EPIPE:
            complain(f"cannot write the output: {error.strerror}")
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
