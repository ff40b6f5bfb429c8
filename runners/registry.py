"""Every runner by its name. A new runner is one new file and one line here."""

from __future__ import annotations

import difflib

from runners.base.contract import Runner, UsageError
from runners.llama_cpp import LlamaCpp
from runners.mock import MockRunner

RUNNERS: dict[str, Runner] = {
    runner.name: runner
    for runner in (
        LlamaCpp(),
        MockRunner(),
    )
}


def get_runner(name: str) -> Runner:
    """The runner of this name.

    Raises:
        UsageError: there is none; names those that there are.
    """
    if name not in RUNNERS:
        near = difflib.get_close_matches(name.lower(), RUNNERS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"unknown runner {name!r}; {hint}known: {', '.join(RUNNERS)}")
    return RUNNERS[name]
