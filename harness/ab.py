"""Two builds of a suite, one to be held against the other: what `bench ab` measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.suite import BASELINE, CANDIDATE, ENDPOINT, RunnerSpec, Suite, SuiteError
from harness.suite_file import anchored_program
from harness.suite_values import shown
from runners.base.speculation import PLAIN
from runners.base.spelling import known_names
from runners.registry import KINDS

LEAST_ROUNDS = 6
"""Of a run that goes on: fewer say so little of the noise that it would often end by chance."""
DEFAULT_RUNNER = "llama.cpp"


@dataclass(frozen=True)
class SideOptions:
    """What the options of one side say."""

    runner: str = DEFAULT_RUNNER
    """KIND or KIND=PROGRAM."""
    args: Sequence[str] = ()
    """NAME=VALUE, for this side alone."""

    def build(self, flag: str) -> dict[str, str]:
        """The table of a suite that names this build; `flag` is where it was given.

        Raises:
            SuiteError: there is no such runner, or no such program.
        """
        kind, equals, program = (part.strip() for part in self.runner.partition("="))
        if kind not in KINDS:
            raise SuiteError(
                f"{flag}: there is no runner {shown(kind)}; {known_names(kind, KINDS)}; a program "
                f"of one is given behind its name, as in {DEFAULT_RUNNER}=./llama-server"
            )
        if not equals:
            return {"runner": kind}
        if not program:
            raise SuiteError(f"{flag} {shown(self.runner)}: no program behind the =")
        return {"runner": kind, "program": anchored_program(Path.cwd(), program, flag)}


def ab_flags(
    baseline: SideOptions,
    candidate: SideOptions,
    flags: Mapping[str, Any],
    *,
    threshold: str | float,
    of_sides: tuple[str, str] = ("--baseline-runner", "--candidate-runner"),
) -> dict[str, Any]:
    """What `gather` takes for a run of two builds: `flags`, and what they leave open.

    With `repeats` alone there are so many rounds. Without, there are `LEAST_ROUNDS` and as many
    more as it takes, at most `max_rounds`; with both, at least the one and at most the other.

    Raises:
        SuiteError: no such runner or program.
    """
    builds = {
        BASELINE: baseline.build(of_sides[0]),
        CANDIDATE: candidate.build(of_sides[1]),
    }
    found: dict[str, Any] = {
        "name": "ab",
        "runner": (BASELINE, CANDIDATE),
        "runners": builds,
        "threshold": threshold,
        **flags,
    }
    if "repeats" in flags:
        found.setdefault("max_rounds", flags["repeats"])
    else:
        found["repeats"] = min(LEAST_ROUNDS, flags.get("max_rounds", LEAST_ROUNDS))
    attached = all(build["runner"] == ENDPOINT for build in builds.values())
    if not attached and "draft_model" not in flags:
        found.setdefault("methods", (PLAIN,))
    return found


def side_args(baseline: SideOptions, candidate: SideOptions) -> list[str]:
    """The options of either side, as `gather` takes those of runners."""
    return [
        f"{name}:{arg}"
        for name, side in ((BASELINE, baseline), (CANDIDATE, candidate))
        for arg in side.args
    ]


def is_ab(suite: Suite) -> bool:
    """Whether a suite has the two builds."""
    return {BASELINE, CANDIDATE} <= set(suite.runner)


def are_the_same(suite: Suite) -> bool:
    """Whether nothing tells the two builds apart, so that what differs is noise."""
    none = RunnerSpec(runner=DEFAULT_RUNNER)
    return suite.runners.get(BASELINE, none) == suite.runners.get(CANDIDATE, none)
