"""The server had room for several requests at once behind a figure of a single one."""

from __future__ import annotations

from harness.analysis.doubt.mark import Mark
from harness.records import Arm, Launch

MARK = Mark(
    "slots",
    "the server has several slots, which share its context and its cache",
    frozenset(),
    "Start the server with one slot (parallel=1).",
)
"""It spoils nothing: all samples of a setting have it, so that there is none to leave out, and a
slot that is idle takes memory and no time. Whether others were, a server does not tell."""

OPTION = "parallel"
"""llama.cpp's."""


def has_slots(arm: Arm, launch: Launch | None) -> bool:
    """By the arm's own option, or by what the server tells."""
    asked = dict(arm.options).get(OPTION)
    if isinstance(asked, int) and asked > 1:
        return True
    return launch is not None and launch.slots is not None and launch.slots > 1
