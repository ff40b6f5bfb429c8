"""Puts a suite together: defaults, then the suite file, then the flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.defaults import with_defaults
from harness.suite import (
    Suite,
    SuiteError,
    Value,
    make_suite,
)
from harness.suite_file import anchored_path, anchored_workloads, read_suite
from runners.base.contract import Runner
from runners.registry import make_runner


def gather(
    suite_file: Path | None,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    base: Suite | None = None,
) -> tuple[Suite, dict[str, Runner]]:
    """The suite that file and flags ask for, and every runner it names.

    `base` is the suite of a run to go on with: it takes the place of file and defaults.

    Raises:
        SuiteError: a key, a value or a flag is wrong.
        UsageError: there is no such runner.
    """
    if base is not None:
        settings: dict[str, Any] = base.model_dump()
    else:
        settings = {} if suite_file is None else read_suite(suite_file)
    settings |= flags
    # Paths absolute, so that --resume finds them from any folder.
    for key in ("model", "draft_model"):
        if key in flags:
            flag = f"--{key.replace('_', '-')}"
            settings[key] = anchored_path(Path.cwd(), flags[key], flag)
    if "workloads" in flags:
        settings["workloads"] = anchored_workloads(Path.cwd(), flags["workloads"])
    where = "" if suite_file is None else str(suite_file)
    given_args = dict(_runner_arg(text) for text in runner_args)
    if given_args:
        args = settings.get("args", {})
        if not isinstance(args, Mapping):
            raise SuiteError(f"{where}: args: expected a table, not {args!r:.80}")
        settings["args"] = {**args, **given_args}
    flagged = {*((name,) for name in flags), *(("args", name) for name in given_args)}
    # Validated once before the defaults, which must be able to rely on the types.
    checked = make_suite(settings, where, flagged)
    names = [checked.runner, *(arm.runner for arm in checked.arm if arm.runner is not None)]
    runners = {name: _runner(name, checked) for name in names}
    if base is None:
        needs_model = any(runner.needs_model for runner in runners.values())
        settings = with_defaults(settings, needs_model=needs_model)
    return make_suite(settings, where, flagged), runners


def _runner(name: str, suite: Suite) -> Runner:
    """A runner by the suite's own name for a build of it, or by its kind."""
    if (build := suite.runners.get(name)) is not None:
        return make_runner(build.runner, build.program)
    return make_runner(name)


def _runner_arg(text: str) -> tuple[str, Value | tuple[Value, ...]]:
    """'cache-type-k=f16,q8_0' -> ('cache-type-k', ('f16', 'q8_0')); a bare name is switched on."""
    name, equals, value = text.partition("=")
    name = name.strip().lstrip("-")
    if not name or (equals and not value.strip()):
        raise SuiteError(f"--runner-arg {text!r}: expected NAME=VALUE, NAME=VALUE,VALUE or NAME")
    values = tuple(_value(part.strip()) for part in value.split(",")) if equals else (True,)
    return name, values if len(values) > 1 else values[0]


def _value(text: str) -> Value:
    """Numbers and switches as TOML would read them, anything else as text."""
    words = {"true": True, "false": False}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
