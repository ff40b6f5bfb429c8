"""What is wrong with a suite as a whole, though each of its settings could be right."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.suite import (
    BASELINE,
    CANDIDATE,
    ENDPOINT,
    Location,
    Suite,
    SuiteError,
    flag_of,
    place_of,
)
from harness.suite_values import shown
from runners.base.contract import Runner
from runners.base.speculation import PLAIN
from runners.base.spelling import known_names
from runners.registry import KINDS


def names_of(suite: Suite) -> list[str]:
    """Every runner that a suite names, the suite's own first."""
    return list(dict.fromkeys((*suite.runner, *(name for arm in suite.arm for name in arm.runner))))


def check_names(given: Sequence[tuple[str | None, str, object]], suite: Suite) -> None:
    """Refuse options for runners that nothing uses.

    Raises:
        SuiteError: says which.
    """
    names = names_of(suite)
    for name, option, _ in given:
        if name is not None and name not in names:
            raise SuiteError(
                f"--runner-arg {name}:{option}: this sweep has no runner {shown(name)}; "
                f"{known_names(name, names)}"
            )


def check_drafting(suite: Suite, place: str) -> None:
    """Refuse draft lengths where nothing drafts.

    Raises:
        SuiteError: says so.
    """
    if {*suite.methods, *(arm.method for arm in suite.arm)} <= {PLAIN}:
        raise SuiteError(f"{place} goes with methods, and none is named")


def check_rounds(suite: Suite, where: str, flagged: Collection[Location]) -> None:
    """Refuse words on how long to go on that make no sense together.

    Raises:
        SuiteError: says which.
    """

    def place(name: str) -> str:
        return f"{where}: {name}" if where and (name,) not in flagged else flag_of((name,))

    if suite.budget is not None:
        for name in ("precision", "threshold", "max_rounds"):
            if getattr(suite, name) is not None:
                raise SuiteError(
                    f"{place(name)}: a run with a budget is a tuning, which decides by itself how "
                    "many rounds it needs"
                )
        if len(suite.max_tokens) > 1 or len(names_of(suite)) > 1 or suite.synthetic_acceptance:
            raise SuiteError(
                f"{place('budget')}: a tuning looks for the best setting of one runner at one "
                "answer length, with the drafts that it really makes"
            )
    elif suite.goal is not None:
        raise SuiteError(
            f"{place('goal')} says what a tuning makes faster, and without a budget this is none: "
            'give budget too, as in budget = "10m", or use bench tune'
        )
    if suite.max_rounds is not None and not suite.has_aim:
        raise SuiteError(
            f"{place('max_rounds')} ends a sweep that goes on until it is precise: give "
            "precision too, or for a fixed number of rounds repeats"
        )
    if suite.max_rounds is not None and suite.max_rounds < suite.least_rounds:
        raise SuiteError(
            f"{place('max_rounds')}: {suite.max_rounds} rounds are fewer than the "
            f"{suite.least_rounds} that are measured in any case"
        )
    if suite.precision is not None and suite.threshold is not None:
        raise SuiteError(
            f"{place('precision')} and {place('threshold')} both say how long to go on: give one "
            "of them"
        )
    if suite.threshold is not None and not {BASELINE, CANDIDATE} <= set(names_of(suite)):
        raise SuiteError(
            f"{place('threshold')} is for two builds that are named {BASELINE} and {CANDIDATE}, as "
            "`bench ab` measures them"
        )


def check_builds(suite: Suite, where: str) -> None:
    """Refuse builds of no known kind, and names of one kind for builds of another.

    Raises:
        SuiteError: says which.
    """
    for name, build in suite.runners.items():
        place = f"{where}: {place_of(('runners', name))}"
        if build.runner not in KINDS:
            if build.runner == name:
                raise SuiteError(
                    f"{place}, runner: field required: which of {', '.join(KINDS)} it is"
                )
            raise SuiteError(
                f"{place}, runner: there is no {shown(build.runner)}; "
                f"{known_names(build.runner, KINDS)}"
            )
        if name in KINDS and name != build.runner:
            raise SuiteError(f"{place} is a build of {build.runner}: give it a name of its own")
        if build.api_key_env is not None and build.runner != ENDPOINT:
            raise SuiteError(f"{place}, api_key_env: only for the runner {ENDPOINT}")


def check_keys(suite: Suite, where: str, flagged: Collection[Location], *, resumed: bool) -> None:
    """See that the environment has the keys of the endpoints that are used.

    Raises:
        SuiteError: it lacks one.
    """
    for name in names_of(suite):
        build = suite.runners.get(name)
        variable = None if build is None else build.api_key_env
        if variable is None or os.environ.get(variable):
            continue
        at = ("runners", name, "api_key_env")
        if resumed and at not in flagged:
            raise SuiteError(f"{variable} is not set, and {name} has its key from there")
        place = flag_of(at) if at in flagged else f"{where}: {place_of(at)}"
        # What was given may be the key itself, so it is not repeated.
        raise SuiteError(
            f"{place}: no environment variable of that name is set; give the name of the variable "
            "that holds the key, not the key itself"
        )


def check_attached(
    suite: Suite, runners: Mapping[str, Runner], flags: Mapping[str, Any], where: str
) -> None:
    """Refuse what a server that already runs cannot be told, where nothing else is measured.

    What a file asks for may stay where flags put such a server in the place of the file's runners.

    Raises:
        SuiteError: says which setting.
    """
    if not all(runner.attached for runner in runners.values()):
        return
    asked: dict[str, object] = {
        "model": suite.model,
        "draft_model": suite.draft_model,
        "methods": suite.methods,
        "draft_tokens": "draft_tokens" in suite.model_fields_set,
        "synthetic_acceptance": suite.synthetic_acceptance,
    }
    placed: dict[str, object] = {
        flag_of((key,)): value for key, value in asked.items() if key in flags
    }
    if where and not {"runner", "url"} & set(flags):
        placed |= {f"{where}: {key}": value for key, value in asked.items() if key not in flags}
        placed |= {
            f"{where}: {place_of(('arm', number, 'method'))}": arm.method != PLAIN
            for number, arm in enumerate(suite.arm)
        }
    for place, value in placed.items():
        if value:
            name = next(iter(runners))
            raise SuiteError(
                f"{place}: {name} is a server that already runs, with the model and the method "
                "that it was started with; which of its models is asked says --runner-arg "
                "model=NAME, and to set it beside a runner that is launched, name that first, as "
                f"in --runner llama.cpp,{name}"
            )
