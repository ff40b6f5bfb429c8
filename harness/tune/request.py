"""A family's speed-up over whole requests, of which drafts shorten only what follows the prefill.

Of a setting's request, let the share `h` pass before its first token, and of plain's `p`. Where it
is S times as fast as plain, its decoding alone is s = S (1 - p) / (1 - h) times as fast: that has a
curve. Back from there, S = 1 / (h / S + (1 - p) / s), where h / S is the time to its first token in
plain requests, which the draft length hardly changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.tune.curve import Belief, Point, curve


def curve_of_requests(
    points: Sequence[Point],
    rates: tuple[float, ...] | None,
    lengths: Sequence[int],
    before: Mapping[int, float],
    before_plain: float,
    *,
    further: bool = False,
) -> dict[int, Belief]:
    """As `curve`, where `points` are of whole requests.

    `before`: of each point's draft length, the share of a request before its first token, below 1;
    `before_plain`: plain's. All 0 where the points are of decoding alone.
    """
    decoding = [
        replace(
            point,
            speedup=point.speedup * (1 - before_plain) / (1 - before[point.draft_tokens]),
            error=point.error / (1 - before[point.draft_tokens]),
        )
        for point in points
    ]
    prefill = {p.draft_tokens: before[p.draft_tokens] / p.speedup for p in points}
    found = {}
    for k, belief in curve(decoding, rates, lengths, further=further).items():
        steps = (1 - before_plain) / math.exp(belief.mean)
        whole = steps + prefill.get(k, fmean(prefill.values()))
        found[k] = Belief(-math.log(whole), belief.error * steps / whole)
    return found
