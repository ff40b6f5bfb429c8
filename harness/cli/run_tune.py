"""What `bench tune` does with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ab import is_ab
from harness.cli.run_sweep import run_sweep
from harness.run_folder import read_all_but_samples
from harness.suite import SuiteError
from harness.tune.defaults import tune_flags


def run_tune(
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    out: Path | None,
    resume: Path | None,
    dry: bool,
    json: bool,
) -> int:
    """Do what the options say, and return the exit status.

    Raises:
        SuiteError: wrong input, or `resume` is no tuning; and as `run_sweep`.
    """
    if resume is None:
        flags = tune_flags(flags, runner_args)
    elif (suite := read_all_but_samples(resume).manifest.suite).budget is None:
        command = "ab" if is_ab(suite) else "sweep"
        raise SuiteError(f"{resume} is no run of bench tune: go on with bench {command} --resume")
    return run_sweep(
        None, flags, runner_args, out=out, resume=resume, dry=dry, json=json, command="tune"
    )
