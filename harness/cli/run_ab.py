"""What `bench ab` and `bench selftest` do with their options: measure two builds, and judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ab import SideOptions, ab_flags, are_the_same, is_ab, side_args
from harness.cli.errors import FAILED, complain
from harness.cli.outcome import name_reports, write_run_reports
from harness.cli.run_sweep import run_sweep
from harness.cli.verdict import tell
from harness.gate.decide import THRESHOLD
from harness.gate.gate import gate
from harness.run_folder import RunData, read_all_but_samples, read_run
from harness.selftest import view
from harness.selftest.outcome import self_test
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

    def show(run: RunData, folder: Path) -> int:
        if are_the_same(run.manifest.suite):
            complain(SAME)
        # The two were asked for together: whatever tells them apart is what is to be judged.
        return tell(gate(str(folder), threshold=_threshold(run), force=True), as_json=json)

    if resume is None:
        flags = ab_flags(baseline, candidate, flags, threshold=THRESHOLD)
        runner_args = [*runner_args, *side_args(baseline, candidate)]
    return _run(flags, runner_args, out, resume, dry=dry, json=json, show=show, command="ab")


def run_selftest(
    build: SideOptions,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    out: Path | None,
    resume: Path | None,
    dry: bool,
    json: bool,
) -> int:
    """Do what the options of `bench selftest` say; 1 where the gate was alarmed for nothing.

    Raises:
        SuiteError: wrong input, or `resume` is no run of two builds; and as `run_sweep`.
    """

    def show(run: RunData, folder: Path) -> int:
        found = self_test(folder, _threshold(run), run.manifest.suite.seed)
        if json:
            print(view.render_json(found))
        else:
            view.show(found)
        return 0 if found.passed else FAILED

    if resume is not None:
        suite = read_all_but_samples(resume).manifest.suite
        if is_ab(suite) and not are_the_same(suite):
            raise SuiteError(f"{resume} is a run of two builds: go on with bench ab --resume")
    else:
        flags = {"name": "selftest", **flags}
        both = ("--runner", "--runner")
        flags = ab_flags(build, build, flags, threshold=THRESHOLD, of_sides=both)
    return _run(flags, runner_args, out, resume, dry=dry, json=json, show=show, command="selftest")


def _threshold(run: RunData) -> float:
    return run.manifest.suite.threshold or THRESHOLD


def _run(
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    out: Path | None,
    resume: Path | None,
    *,
    dry: bool,
    json: bool,
    show: Callable[[RunData, Path], int],
    command: str,
) -> int:
    if resume is not None and not is_ab(read_all_but_samples(resume).manifest.suite):
        raise SuiteError(f"{resume} is no run of bench {command}: go on with bench sweep --resume")

    def reported(folder: Path) -> int:
        run = read_run(folder)
        _, written = write_run_reports(run, folder)
        status = show(run, folder)
        if not json:
            name_reports(written)
        return status

    return run_sweep(
        None,
        flags,
        runner_args,
        out=out,
        resume=resume,
        dry=dry,
        json=json,
        show=reported,
        command=command,
    )
