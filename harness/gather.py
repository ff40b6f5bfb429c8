"""Puts a suite together: defaults, then the suite file, then the flags."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.defaults import with_defaults
from harness.suite import (
    Suite,
    SuiteError,
    Value,
    make_suite,
    place_of,
    shown_flag,
)
from harness.suite_file import anchored_path, anchored_program, anchored_workloads, read_suite
from harness.suite_values import shown
from runners.base.contract import Runner, UsageError
from runners.registry import KINDS, make_runner

PROGRAM_FLAGS = {"llama_server": "llama.cpp", "mlx": "mlx"}
"""Flag that names a program -> the runner that it is a program of."""


def gather(
    suite_file: Path | None,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    base: Suite | None = None,
) -> tuple[Suite, dict[str, Runner]]:
    """The suite that file and flags ask for, and every runner it names.

    `flags` are keys of the suite, and `PROGRAM_FLAGS`. `base` is the suite of a run to go on with:
    it takes the place of file and defaults.

    Raises:
        SuiteError: a key, a value or a flag is wrong.
        UsageError: there is no such runner.
    """
    if base is not None:
        settings: dict[str, Any] = base.model_dump()
    else:
        settings = {} if suite_file is None else read_suite(suite_file)
    settings |= {key: value for key, value in flags.items() if key not in PROGRAM_FLAGS}
    # Paths absolute, so that --resume finds them from any folder.
    for key in ("model", "draft_model"):
        if key in flags:
            settings[key] = anchored_path(Path.cwd(), flags[key], shown_flag(key))
    if "workloads" in flags:
        settings["workloads"] = anchored_workloads(Path.cwd(), flags["workloads"])
    where = "" if suite_file is None else str(suite_file)
    programs = {flag: kind for flag, kind in PROGRAM_FLAGS.items() if flag in flags}
    for flag, kind in programs.items():
        program = anchored_program(Path.cwd(), flags[flag], shown_flag(flag))
        build = {"runner": kind, "program": program}
        settings["runners"] = {**_table(settings, "runners", where), kind: build}
    given_args = dict(_runner_arg(text) for text in runner_args)
    if given_args:
        settings["args"] = {**_table(settings, "args", where), **given_args}
    flagged = {*((name,) for name in flags), *(("args", name) for name in given_args)}
    flagged.update(("runners", kind) for kind in programs.values())
    # Validated once before the defaults, which must be able to rely on the types.
    checked = make_suite(settings, where, flagged)
    _check_builds(checked, where)
    names = [checked.runner, *(arm.runner for arm in checked.arm if arm.runner is not None)]
    runners = {name: _runner(name, checked) for name in names}
    for flag, kind in programs.items():
        if kind not in runners:
            raise SuiteError(
                f"{shown_flag(flag)} is for the runner {kind}, which nothing here uses"
            )
    if base is None:
        settings = with_defaults(settings, runners[checked.runner])
    return make_suite(settings, where, flagged), runners


def _table(settings: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """What the file has under `key`.

    Raises:
        SuiteError: it is no table.
    """
    table = settings.get(key, {})
    if not isinstance(table, Mapping):
        raise SuiteError(f"{where}: {key}: expected a table, not {shown(table)}")
    return table


def _check_builds(suite: Suite, where: str) -> None:
    """Refuse builds of no known kind, and names of one kind for builds of another.

    Raises:
        SuiteError: says which.
    """
    for name, build in suite.runners.items():
        place = f"{where}: {place_of(('runners', name))}"
        if build.runner not in KINDS:
            near = difflib.get_close_matches(build.runner.lower(), KINDS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise SuiteError(
                f"{place}, runner: there is no {shown(build.runner)}; {hint}known: "
                f"{', '.join(KINDS)}"
            )
        if name in KINDS and name != build.runner:
            raise SuiteError(f"{place} is a build of {build.runner}: give it a name of its own")


def _runner(name: str, suite: Suite) -> Runner:
    """A runner by the suite's own name for a build of it, or by its kind.

    Raises:
        UsageError: there is neither.
    """
    if (build := suite.runners.get(name)) is not None:
        return make_runner(build.runner, build.program)
    if name not in KINDS and suite.runners:
        known = [*suite.runners, *(kind for kind in KINDS if kind not in suite.runners)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"unknown runner {shown(name)}; {hint}known: {', '.join(known)}")
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
