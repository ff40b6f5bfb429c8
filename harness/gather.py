"""Puts a suite together: defaults, then the suite file, then the flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.defaults import with_defaults
from harness.suite import (
    ENDPOINT,
    PROGRAM_FLAGS,
    Location,
    Suite,
    SuiteError,
    Value,
    make_suite,
    place_of,
    shown_flag,
)
from harness.suite_checks import (
    check_attached,
    check_builds,
    check_drafting,
    check_keys,
    check_names,
    check_rounds,
    names_of,
)
from harness.suite_file import anchored_program, anchored_workloads, model_of_flags, read_suite
from harness.suite_values import shown
from runners.base.contract import Runner, UsageError
from runners.base.spelling import known_names
from runners.registry import KINDS, make_runner

OF_RUNNERS = {
    **{flag: (kind, "program") for flag, kind in PROGRAM_FLAGS.items()},
    "api_key_env": (ENDPOINT, "api_key_env"),
}
"""Flag -> the runner that it is for, and the key of its table that it sets."""


def gather(
    suite_file: Path | None,
    flags: Mapping[str, Any],
    runner_args: Sequence[str],
    *,
    base: Suite | None = None,
) -> tuple[Suite, dict[str, Runner]]:
    """The suite that file and flags ask for, and every runner it names.

    `flags` are keys of the suite, `PROGRAM_FLAGS` and `api_key_env`. `base` is the suite of a run
    to go on with: it takes the place of file and defaults.

    Raises:
        SuiteError: a key, a value or a flag is wrong.
        UsageError: there is no such runner.
    """
    if base is not None:
        settings: dict[str, Any] = base.model_dump()
    else:
        settings = {} if suite_file is None else read_suite(suite_file)
    where = "" if suite_file is None else str(suite_file)
    flagged = _apply(flags, settings, where)
    given = [_runner_arg(text) for text in runner_args]
    if any(name is not None for name, _, _ in given):
        check_names(given, make_suite(settings, where, flagged))
    for name, option, values in given:
        at = ("args", option) if name is None else ("runners", name, "args", option)
        _set(settings, at, values, where)
        flagged.add(at)
    # Validated once before the defaults, which must be able to rely on the types.
    checked = make_suite(settings, where, flagged)
    check_builds(checked, where)
    check_keys(checked, where, flagged, resumed=base is not None)
    runners = {name: _runner(name, checked) for name in names_of(checked)}
    _check_used(flags, runners)
    if base is None:
        settings = with_defaults(settings, {name: runners[name] for name in checked.runner})
    suite = make_suite(settings, where, flagged)
    check_rounds(suite, where, flagged)
    check_attached(suite, runners, flags, where)
    # Of a file or a run whose methods a flag takes away, the draft lengths may stay.
    of_file = base is None and "methods" not in flags and "draft_tokens" in checked.model_fields_set
    if "draft_tokens" in flags or of_file:
        check_drafting(
            suite, "--draft-tokens" if "draft_tokens" in flags else f"{where}: draft_tokens"
        )
    return suite, runners


def _apply(flags: Mapping[str, Any], settings: dict[str, Any], where: str) -> set[Location]:
    """Set what flags say, over what a file or an earlier run does, and tell where that is.

    Raises:
        SuiteError: a path that cannot be one, or as `_set`.
    """
    settings |= {key: value for key, value in flags.items() if key not in OF_RUNNERS}
    if "url" in flags:
        settings.setdefault("runner", ENDPOINT)
    # Paths absolute, so that --resume finds them from any folder.
    for key in ("model", "draft_model"):
        if key in flags:
            paths = (flags[key],) if isinstance(flags[key], str) else flags[key]
            settings[key] = model_of_flags(Path.cwd(), paths, shown_flag(key))
    if "workloads" in flags:
        settings["workloads"] = anchored_workloads(Path.cwd(), flags["workloads"])
    flagged: set[Location] = {(name,) for name in flags}
    for flag, (kind, key) in OF_RUNNERS.items():
        if flag not in flags:
            continue
        value = flags[flag]
        if flag in PROGRAM_FLAGS and flag != "url":
            value = anchored_program(Path.cwd(), value, shown_flag(flag))
        _set(settings, ("runners", kind, key), value, where)
        if key == "program":
            settings["runners"][kind].pop("url", None)
        flagged.add(("runners", kind, key))
    return flagged


def _check_used(flags: Mapping[str, Any], runners: Mapping[str, Runner]) -> None:
    """Refuse what is set of a runner that nothing uses.

    Raises:
        SuiteError: says which.
    """
    for flag, (kind, _) in OF_RUNNERS.items():
        if flag in flags and kind not in runners:
            raise SuiteError(
                f"{shown_flag(flag)} is for the runner {kind}, which nothing here uses"
            )


def _set(settings: dict[str, Any], at: Sequence[str], value: object, where: str) -> None:
    """Set what a flag says, in the tables of the file, which themselves stay as they are.

    Raises:
        SuiteError: the file has something else than a table there.
    """
    table = settings
    for end, key in enumerate(at[:-1], start=1):
        inner = table.get(key, {})
        if not isinstance(inner, Mapping):
            place = place_of(tuple(at[:end]))
            raise SuiteError(f"{where}: {place}: expected a table, not {shown(inner)}")
        table[key] = dict(inner)
        table = table[key]
    table[at[-1]] = value


def _runner(name: str, suite: Suite) -> Runner:
    """A runner by the suite's own name for a build of it, or by its kind.

    Raises:
        UsageError: there is neither.
    """
    if (build := suite.runners.get(name)) is not None:
        return make_runner(build.runner, build.program, build.api_key_env)
    if name not in KINDS and suite.runners:
        known = [*suite.runners, *(kind for kind in KINDS if kind not in suite.runners)]
        raise UsageError(f"unknown runner {shown(name)}; {known_names(name, known)}")
    return make_runner(name)


def _runner_arg(text: str) -> tuple[str | None, str, Value | tuple[Value, ...]]:
    """'vllm:dtype=auto,half' -> ('vllm', 'dtype', ('auto', 'half')).

    No runner is every runner; an option without a value is switched on.
    """
    name, equals, value = text.partition("=")
    runner, colon, option = name.partition(":") if ":" in name else ("", "", name)
    option = option.strip().lstrip("-")
    if not option or (equals and not value.strip()) or (colon and not runner.strip()):
        raise SuiteError(
            f"--runner-arg {text!r}: expected NAME=VALUE, NAME=VALUE,VALUE or NAME, and before "
            "them RUNNER: if they are for one runner only"
        )
    values = tuple(_value(part.strip()) for part in value.split(",")) if equals else (True,)
    return runner.strip() if colon else None, option, values if len(values) > 1 else values[0]


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
