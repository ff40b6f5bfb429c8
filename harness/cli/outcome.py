"""What a command shows of a finished run: reports on disk, the table, where to look further."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from harness.analysis.summary import TrialSummary, summarise
from harness.report.terminal import print_summary
from harness.report.write import write_reports
from harness.run_folder import DiskError, read_run


def show_outcome(folder: Path, *, as_json: bool = False) -> bool:
    """Write the reports of the run in `folder` and print its table, or its rows as JSON.

    True when a launch, a request or a whole trial failed.

    Raises:
        RunFolderError: no run, or a damaged one.
        DiskError: the reports cannot be written.
    """
    run = read_run(folder)
    try:
        written = write_reports(run, folder)
    except OSError as error:
        raise DiskError(
            f"cannot write the reports to {folder}: {error.strerror}; "
            f"the samples are kept, make them later with: bench report {folder}"
        ) from None
    rows = summarise(run)
    failed = any(row.failed or row.failure for row in rows) or any(
        launch.status == "failed" for launch in run.launches
    )
    if as_json:
        print(TypeAdapter(tuple[TrialSummary, ...]).dump_json(rows, indent=2).decode())
        return failed
    console = Console()
    print_summary(run, console)
    console.print()
    console.print(f"Report: {written.html}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"        {written.markdown}", markup=False, highlight=False, soft_wrap=True)
    return failed
