"""Turns what can go wrong into one clear message and the documented exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILED = 1
USAGE = 2
INCONCLUSIVE = 3
INTERRUPTED = 130


def complain(text: str) -> None:
    """Say it on standard error, without control characters that a file or a model slipped in."""
    safe = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    first, *rest = safe.splitlines() or [""]
    print(f"bench: {first}", *(f"       {line}" for line in rest), sep="\n", file=sys.stderr)


class _Aloud(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


def hear_runners() -> None:
    """Pass on what a runner says of work that takes its time."""
    log = logging.getLogger("runners")
    log.setLevel(logging.INFO)
    log.handlers = [_Aloud()]


@contextmanager
def reported() -> Iterator[None]:
    """Exit with a message instead of a traceback for every error that is the input's fault."""
    # Imported when a command runs, not when its help is shown.
    from harness.calculator.calculator import CalculatorError  # noqa: PLC0415
    from harness.compare.errors import CompareError  # noqa: PLC0415
    from harness.models.errors import ModelFileError  # noqa: PLC0415
    from harness.run_folder import DiskError, RunFolderError  # noqa: PLC0415
    from harness.suite import SuiteError  # noqa: PLC0415
    from runners.base.contract import RunnerError  # noqa: PLC0415
    from workloads.workload import WorkloadError  # noqa: PLC0415

    try:
        yield
    except DiskError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except (
        CalculatorError,
        CompareError,
        ModelFileError,
        RunFolderError,
        SuiteError,
        RunnerError,
        WorkloadError,
    ) as error:
        complain(str(error))
        raise typer.Exit(USAGE) from None
