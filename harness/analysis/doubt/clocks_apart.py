"""The client's time of decoding is not the runner's."""

from __future__ import annotations

from harness.analysis.doubt.mark import Figure, Mark
from harness.records import Sample

MOST_APART = 0.1
"""Share by which the client's time of decoding may differ from the runner's own. On quiet machines
they agree within 0.01, up to a thousand tokens a second."""

MARK = Mark(
    "clocks-apart",
    f"the client's and the runner's time of decoding are over {MOST_APART:.0%} apart",
    frozenset({Figure.RATE}),
    "Leave a processor for the client: give the runner a thread less, or stop other programs.",
)


def clocks_are_apart(sample: Sample, arrivals: int) -> bool:
    """`arrivals`: bursts of the answer."""
    if sample.decode_s is None or not sample.runner_decode_s:
        return False
    # 0 seconds of several bursts: they waited to be read, and were read all at once.
    if sample.decode_s <= 0 and arrivals < 2:
        return False
    return abs(sample.decode_s / sample.runner_decode_s - 1) > MOST_APART
