"""What `bench sweep` does with its options: plan, measure, report."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.dry_run import show_plan
from harness.cli.errors import FAILED, INTERRUPTED, complain
from harness.cli.outcome import show_outcome
from harness.cli.progress import SweepProgress
from harness.feasible import left_out
from harness.gather import gather
from harness.manifest import differences, make_manifest
from harness.plan import make_plan
from harness.run_folder import RunFolder, RunFolderError, check_free, read_run
from harness.sweep import Sweep


def run_sweep(
    suite_file: Path | None,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    out: Path | None,
    resume: Path | None,
    dry: bool,
    json: bool,
) -> int:
    """Do what the options of `bench sweep` say, and return the exit status.

    `flags` and `runner_args` as `gather` takes them; `dry`: only show the plan.

    Raises:
        SuiteError, UsageError, ModelFileError, WorkloadError: wrong input.
        RunFolderError: no run to go on with, or it has changed; `out` is not free.
        DiskError: something could not be written.
    """
    old = None if resume is None else read_run(resume)
    base = None if old is None else old.manifest.suite
    suite, runners = gather(suite_file, flags, runner_args, base=base)
    plan = make_plan(suite, runners)
    if dry:
        show_plan(plan, runners, as_json=json)
        return 0
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = resume or out or Path("results") / f"{suite.name}-{stamp}"
    if resume is None:
        check_free(path)
    for line in left_out(plan.arms):
        complain(f"left out, since it cannot work: {line}")
    with SweepProgress(plan, done=0 if old is None else len(old.samples)) as progress:
        command = ["bench", *sys.argv[1:]]
        manifest = make_manifest(plan, runners, command, progress.tell, measure=old is None)
        if old is not None:
            changed = differences(old.manifest, manifest)
            if changed:
                raise RunFolderError(
                    f"cannot go on with {path}, something has changed:\n" + "\n".join(changed)
                )
            folder = RunFolder.resume(path)
        else:
            folder = RunFolder.create(path, manifest)
        with folder:
            interrupted = _measure(Sweep(plan, runners, folder, progress))
    failed = False
    if not interrupted:
        try:
            failed = show_outcome(folder.path, as_json=json)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        complain(_interruption(folder))
        return INTERRUPTED
    return FAILED if failed else 0


def _measure(sweep: Sweep) -> bool:
    """Run the sweep to its end; True when Ctrl-C or a polite kill ended it first."""

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(NotImplementedError):  # Windows has no such handlers.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await sweep.run()

    try:
        asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return True
    return False


def _interruption(folder: RunFolder) -> str:
    run = read_run(folder.path)
    planned = f"{'at least ' if run.manifest.suite.goes_on else ''}{run.planned}"
    return (
        f"interrupted; {len(run.samples)} of {planned} requests are measured and kept\n"
        f"to go on:             bench sweep --resume {folder.path}\n"
        f"to see what there is: bench report {folder.path}"
    )
