"""The runner was lost earlier in the round and launched again, in the middle of its prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Launch, Session

MARK = Mark(
    "retried",
    "the runner was lost earlier in the round and launched again",
    frozenset({Figure.RATE, Figure.TTFT, Figure.ACCEPTANCE}),
    "Find in its log why the runner was lost.",
)
"""What it had learnt from earlier prompts is lost too, so that acceptance is another's."""

AGAIN = re.compile(r"-([1-9]\d*)")


def retries(launches: Sequence[Launch], sessions: Sequence[Session]) -> frozenset[str]:
    """The ids of launches that followed one of the same arm and round within a session.

    The first launch after `--resume` is none: whoever interrupts a run does not doubt it.
    """
    by_id = {launch.id: launch for launch in launches}
    return frozenset(
        launch.id
        for launch in launches
        if (lost := _launch_before(launch, by_id)) is not None
        and lost.status == "ok"
        and not any(lost.started_at < s.started_at <= launch.started_at for s in sessions)
    )


def _launch_before(launch: Launch, by_id: Mapping[str, Launch]) -> Launch | None:
    """'r2-none-n64' for 'r2-none-n64-2', 'r2-none-n64-2' for 'r2-none-n64-3'."""
    stem, dash, number = launch.id.rpartition("-")
    # An arm's own name may end in a number: 'r2-none-2' is the first launch of the arm 'none-2'.
    if not AGAIN.fullmatch(f"{dash}{number}") or int(number) < 2:
        return None
    before = by_id.get(stem if number == "2" else f"{stem}-{int(number) - 1}")
    same = before is not None and (before.arm, before.round) == (launch.arm, launch.round)
    return before if same else None
