"""What a command shows of a finished run: reports on disk, the table, where to look further."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.report import json
from harness.report.content import Report, build_report
from harness.report.escape import clean
from harness.report.terminal import print_summary
from harness.report.write import Written, write_reports
from harness.run_folder import DiskError, RunData, read_run


def show_outcome(folder: Path, *, as_json: bool = False) -> bool:
    """Write the reports of the run in `folder` and print its table, or its rows as JSON.

    True when a request or a whole trial failed, or was planned and not measured. A launch that
    failed counts no more once its arm has been measured.

    Raises:
        RunFolderError: no run, or a damaged one.
        DiskError: the reports cannot be written.
    """
    run = read_run(folder)
    report, written = write_run_reports(run, folder)
    rows = report.rows
    failed = len(run.samples) < run.planned or any(row.failed or row.failure for row in rows)
    if as_json:
        print(json.render(report))
        return failed
    print_summary(report, Console())
    name_reports(written)
    return failed


def name_reports(written: Written) -> None:
    """Print where the reports lie."""
    console = Console()
    console.print()
    console.print(Text(clean(f"Report: {written.html}")), soft_wrap=True)
    console.print(Text(clean(f"        {written.markdown}")), soft_wrap=True)


def write_run_reports(run: RunData, folder: Path) -> tuple[Report, Written]:
    """Write the reports of the run that lies in `folder`.

    Raises:
        DiskError: they cannot be written.
    """
    report = build_report(run)
    try:
        return report, write_reports(report, folder)
    except OSError as error:
        raise DiskError(
            f"cannot write the reports to {folder}: {error.strerror}; "
            f"the samples are kept, make them later with: bench report {folder}"
        ) from None
