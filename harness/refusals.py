"""What runners have against the launches of a plan, before any is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.suite import Suite
from runners.base.contract import LaunchSpec, OptionValue, Runner, UsageError

Launch = tuple[str, LaunchSpec]
"""The name of a runner, and what it is to launch."""


def check(launches: Sequence[Launch], suite: Suite, runners: Mapping[str, Runner]) -> None:
    """Have each runner look at its launches.

    Raises:
        UsageError: one refuses something. If that is an option that goes to every runner, and
            another takes it, it says how to give it to that one alone.
    """
    for name, spec in launches:
        try:
            runners[name].check(spec)
        except UsageError as error:
            refused = _refused(spec, runners[name], suite)
            taker = None if refused is None else _taker(*refused, launches, runners)
            if refused is None or taker is None or taker == name:
                if len(runners) == 1 or str(error).startswith(name):
                    raise
                raise UsageError(f"{name}: {error}") from None
            option, _ = refused
            raise UsageError(
                f"{error}\n{option} goes to every runner of this sweep, and {name} does not take "
                f"it; to give it to {taker} alone: --runner-arg {taker}:{option}=VALUE, or args in "
                f'[runners."{taker}"]'
            ) from None


def _refused(spec: LaunchSpec, runner: Runner, suite: Suite) -> tuple[str, OptionValue] | None:
    """The first option of the whole suite, in the user's spelling, that a runner does not take."""
    if not _takes(runner, spec, ()):
        return None
    given = dict(spec.options)
    for option in suite.args:
        name = runner.canonical(option)
        if name in given and not _takes(runner, spec, ((name, given[name]),)):
            return option, given[name]
    return None


def _taker(
    option: str, value: OptionValue, launches: Sequence[Launch], runners: Mapping[str, Runner]
) -> str | None:
    """The first runner that takes an option."""
    first_of = dict(reversed(launches))
    return next(
        (
            name
            for name, runner in runners.items()
            if name in first_of
            and _takes(runner, first_of[name], ((runner.canonical(option), value),))
        ),
        None,
    )


def _takes(runner: Runner, spec: LaunchSpec, options: tuple[tuple[str, OptionValue], ...]) -> bool:
    try:
        runner.check(replace(spec, options=options))
    except UsageError:
        return False
    return True
