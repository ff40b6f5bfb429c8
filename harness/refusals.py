"""What a runner has against an option that a suite gives to all of its runners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.suite import Suite
from runners.base.contract import LaunchSpec, Runner, UsageError


def check(spec: LaunchSpec, name: str, suite: Suite, runners: Mapping[str, Runner]) -> None:
    """Have the runner of this name look at a launch.

    Raises:
        UsageError: it refuses something. If that is an option which other runners get as well, it
            says how to give one to a single runner.
    """
    try:
        runners[name].check(spec)
    except UsageError as error:
        option = _shared_and_refused(spec, name, suite, runners)
        if option is None:
            raise
        taker = next((other for other in runners if other != name), name)
        raise UsageError(
            f"{error}\n{option} goes to every runner of this sweep ({', '.join(runners)}), and "
            f"{name} refuses it; to give it to one alone: --runner-arg {taker}:{option}=VALUE, or "
            f'args in [runners."{taker}"]'
        ) from None


def _shared_and_refused(
    spec: LaunchSpec, name: str, suite: Suite, runners: Mapping[str, Runner]
) -> str | None:
    """The first option for all runners, in the user's spelling, that this one does not take."""
    runner = runners[name]
    if len(runners) == 1 or not _is_taken(replace(spec, options=()), runner):
        return None
    given = dict(spec.options)
    for option in suite.args:
        own = runner.canonical(option)
        if own in given and not _is_taken(replace(spec, options=((own, given[own]),)), runner):
            return option
    return None


def _is_taken(spec: LaunchSpec, runner: Runner) -> bool:
    try:
        runner.check(spec)
    except UsageError:
        return False
    return True
