"""Shows a gate's verdict wherever it is to be seen, and turns it into an exit status."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.errors import FAILED, INCONCLUSIVE
from harness.gate.decide import Decision

if TYPE_CHECKING:
    from harness.gate.verdict import Gate

STATUS = {Decision.PASSED: 0, Decision.REGRESSED: FAILED, Decision.INCONCLUSIVE: INCONCLUSIVE}


def tell(
    found: Gate,
    *,
    as_json: bool,
    annotate: bool | None = None,
    page: Path | None = None,
    junit_file: Path | None = None,
) -> int:
    """Print a verdict, write it to the files that are named, and return the exit status.

    `annotate` None: within GitHub Actions. There the job's summary gets it too.

    Raises:
        DiskError: a file cannot be written.
    """
    if annotate is None:
        annotate = os.environ.get("GITHUB_ACTIONS") == "true"
    _show(found, as_json=as_json, annotate=annotate)
    _write(found, page, junit_file)
    return STATUS[found.decision]


def _show(found: Gate, *, as_json: bool, annotate: bool) -> None:
    from harness.gate.views import annotations, json, text  # noqa: PLC0415

    if as_json:
        print(json.render(found))
    else:
        text.show(found)
    if annotate:
        # GitHub reads both streams; standard output may be JSON that a file takes.
        sys.stdout.flush()
        print(annotations.render(found), end="", file=sys.stderr, flush=True)


def _write(found: Gate, page: Path | None, junit_file: Path | None) -> None:
    from harness.gate.views import junit, markdown  # noqa: PLC0415
    from harness.gate.views.write import append_summary, write_whole  # noqa: PLC0415

    if page is not None:
        write_whole(page, markdown.render(found))
    if junit_file is not None:
        write_whole(junit_file, junit.render(found))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        append_summary(Path(summary), markdown.render(found))
