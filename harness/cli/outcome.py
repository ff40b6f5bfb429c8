"""What a command shows of a finished run: reports on disk, the table, where to look further."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.report import json
from harness.report.content import Report, build_report
from harness.report.escape import clean
from harness.report.terminal import print_summary
from harness.report.tuning_terminal import print_card
from harness.report.write import Written, write_reports
from harness.run_folder import DiskError, RunData, read_run
from harness.tune.tuned import TUNED, write_tuned


def show_outcome(folder: Path, *, as_json: bool = False) -> bool:
    """Write the reports of the run in `folder` and print its table, or its rows as JSON; of a
    tuning its card.

    True when a request or a whole trial failed, or was planned and not measured. A launch that
    failed counts no more once its arm has been measured. A tuning failed where it has no answer.

    Raises:
        RunFolderError: no run, or a damaged one.
        DiskError: the reports cannot be written.
    """
    run = read_run(folder)
    report, written = write_run_reports(run, folder)
    rows = report.rows
    failed = len(run.samples) < run.planned or any(row.failed or row.failure for row in rows)
    if report.tuning is not None:
        failed = not report.tuning.card.workloads
    if as_json:
        card = None if report.tuning is None else report.tuning.card
        print(json.render(report) if card is None else json.render_card(card))
        return failed
    console = Console()
    if report.tuning is None:
        print_summary(report, console)
    else:
        print_card(report, report.tuning, console)
    name_reports(written)
    if report.tuning is not None and report.tuning.card.workloads:
        again = f"To measure it again beside plain: bench sweep {folder / TUNED}"
        console.print(Text(clean(again)), soft_wrap=True)
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
        if report.tuning is not None and report.tuning.card.workloads:
            write_tuned(run, report.tuning.card, folder)
        return report, write_reports(report, folder)
    except OSError as error:
        raise DiskError(
            f"cannot write the reports to {folder}: {error.strerror}; "
            f"the samples are kept, make them later with: bench report {folder}"
        ) from None
