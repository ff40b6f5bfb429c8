"""What `bench ab` does with its options: measure two builds, and judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ab import SideOptions, ab_flags, are_the_same, is_ab, side_args
from harness.cli.errors import complain
from harness.cli.outcome import write_run_reports
from harness.cli.run_sweep import run_sweep
from harness.cli.verdict import tell
from harness.gate.decide import THRESHOLD
from harness.gate.gate import gate
from harness.run_folder import read_run
from harness.suite import SuiteError

SAME = (
    "baseline and candidate are the same build with the same options: what differs is the noise of "
    "this machine, of which `bench selftest` tells more"
)


def run_ab(
    baseline: SideOptions,
    candidate: SideOptions,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    out: Path | None,
    resume: Path | None,
    dry: bool,
    json: bool,
) -> int:
    """Do what the options of `bench ab` say, and return the gate's exit status.

    Raises:
        SuiteError: wrong input, or `resume` is no run of two builds; and as `run_sweep`.
    """

    def show(folder: Path) -> int:
        run = read_run(folder)
        write_run_reports(run, folder)
        if are_the_same(run.manifest.suite):
            complain(SAME)
        # The two were asked for together: whatever tells them apart is what is to be judged.
        verdict = gate(str(folder), threshold=run.manifest.suite.threshold or THRESHOLD, force=True)
        return tell(verdict, as_json=json)

    if resume is not None:
        suite = read_run(resume).manifest.suite
        if not is_ab(suite):
            raise SuiteError(f"{resume} is no run of bench ab: go on with bench sweep --resume")
    else:
        flags = ab_flags(baseline, candidate, flags, threshold=THRESHOLD)
        runner_args = [*runner_args, *side_args(baseline, candidate)]
    return run_sweep(
        None,
        flags,
        runner_args,
        out=out,
        resume=resume,
        dry=dry,
        json=json,
        show=show,
        command="ab",
    )
