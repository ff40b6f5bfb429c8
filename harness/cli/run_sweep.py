"""What the commands that measure do with their options: plan, measure, show what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
    show: Callable[[Path], int] | None = None,
    command: str = "sweep",
) -> int:
    """Do what the options of `bench sweep` say, and return the exit status.

    `flags` and `runner_args` as `gather` takes them; `dry`: only show the plan. `show` writes and
    prints what came of the run in a folder, and tells the exit status; None: its reports. `command`
    is the one that goes on with an interrupted run.

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
    done, planned = (0, plan.samples) if old is None else (len(old.samples), old.planned)
    with SweepProgress(plan, done=done, planned=planned) as progress:
        typed = ["bench", *sys.argv[1:]]
        manifest = make_manifest(plan, runners, typed, progress.tell, measure=old is None)
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
    if not interrupted:
        try:
            return _reported(folder.path, json=json) if show is None else show(folder.path)
        except KeyboardInterrupt:
            pass
    complain(_interruption(folder, command))
    return INTERRUPTED


def _reported(path: Path, *, json: bool) -> int:
    return FAILED if show_outcome(path, as_json=json) else 0


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


def _interruption(folder: RunFolder, command: str) -> str:
    run = read_run(folder.path)
    if run.manifest.suite.budget is not None:
        measured = f"{len(run.samples)} requests"
    else:
        planned = f"{'at least ' if run.manifest.suite.goes_on else ''}{run.planned}"
        measured = f"{len(run.samples)} of {planned} requests"
    return (
        f"interrupted; {measured} are measured and kept\n"
        f"to go on:             bench {command} --resume {folder.path}\n"
        f"to see what there is: bench report {folder.path}"
    )
