"""A family's speed-up at every draft length, from those lengths that were measured.

With the rates by position of the longest draft that was measured, τ(k) = 1 + the sum of the first k
rates: a draft's beginning is accepted alike however long it is. A step's cost c(k), in plain
steps, is τ / speed-up where k was measured; a line through these costs, c(k) = a + b k, tells the
others, and steadies those that were measured. The speed-up is τ(k) / c(k).

A line is wrong where the cost leaps (memory that runs out, a kernel for more rows), and where it
bends. Points that miss the line by more than their noise make it so much less certain. A leap
between two measured lengths shows as a slope much steeper than the one before: what lies between
may be on either side of it, so the gentle slope is hoped for and the belief is wide; measuring what
is hoped for halves the distance, and finds the edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.theory.acceptance import alpha_of_tau, geometric_rates

STEEP = 3.0
"""Times the slope before it, from which a segment may hide a leap …"""
LEAST_LEAP = 0.25
"""… if it ends above where that slope would have led by this share of the cost before it."""
DEAR = 0.5
"""Plain steps a row from which the first segment, which has no slope before it, may hide one;
published rows cost 0.2 to 0.8."""
BEYOND_ROWS = 1.5
"""Plain steps a row that no row costs: the first segment leaps."""
BEND = 0.015
"""By how much a line through three points or more may be off, as a share, if they show no bend."""
UNSEEN = 0.03
"""The same through two points, which show none."""
FURTHER = 0.2
"""How far the logarithm of a speed-up may be off at twice the longest draft that was measured."""
START_ERROR = 0.05
"""How far a step that drafts nothing may be from a plain one, in plain steps: speculating may cost
something by itself. Where a line lacks a second point, this is it."""
AT_ODDS = 4.0
"""Errors between a measurement and the line through the others from which the line says nothing of
it: there is something that is no line, or more noise than is known of."""
LEAST_COST = 0.5
"""Times the cheapest measured step: a line that falls below it is noise."""


@dataclass(frozen=True)
class Point:
    """A draft length of which the speed-up was measured."""

    draft_tokens: int
    speedup: float
    length: float
    """τ."""
    error: float
    """Of the logarithm of the speed-up."""

    @property
    def cost(self) -> float:
        """Plain steps of a step."""
        return self.length / self.speedup


@dataclass(frozen=True)
class Belief:
    """Where the logarithm of a speed-up lies, as far as is known."""

    mean: float
    error: float
    rounds: int = 0
    """That it was measured in; 0: it was not, and comes from the curve alone."""


def curve(
    points: Sequence[Point],
    rates: tuple[float, ...] | None,
    lengths: Sequence[int],
    *,
    further: bool = False,
) -> dict[int, Belief]:
    """What is believed of those of `lengths` that are no longer than the longest point.

    `rates`: by position, of the longest; None: not told, and taken to be geometric. `further`: of
    longer ones too, as if rates and costs went on as they do; what leaps there is not seen.
    """
    if not points:
        return {}
    points = sorted(points, key=lambda point: point.draft_tokens)
    longest = points[-1]
    if rates is None or len(rates) < longest.draft_tokens:
        rates = _geometric(longest)
    leaps = _leaps(points)
    measured = {point.draft_tokens: point for point in points}
    found = {}
    for k in lengths:
        length = 1 + sum(rates[:k])
        if k in measured:
            found[k] = _steadied(measured[k], points, leaps)
        elif k < longest.draft_tokens:
            found[k] = _unmeasured(k, length, points, leaps)
        elif further:
            found[k] = _further(k, rates, points)
    return found


def _further(k: int, rates: tuple[float, ...], points: Sequence[Point]) -> Belief:
    """Of a length beyond the longest of the points, the last."""
    longest = points[-1]
    rates = rates[: longest.draft_tokens]
    ratio = min(1.0, max(0.0, rates[-1]) ** (1 / len(rates)))
    more = sum(rates[-1] * ratio**i for i in range(1, k - len(rates) + 1))
    leaps = _leaps(points)
    line = _line([p for p in points if _same_side(p, k, leaps)], k)
    cost, error = line if line is not None else (longest.cost, UNSEEN)
    error = math.hypot(error, FURTHER * math.log2(k / longest.draft_tokens))
    return Belief(math.log((1 + sum(rates) + more) / cost), error)


def _geometric(point: Point) -> tuple[float, ...]:
    k = point.draft_tokens
    return geometric_rates(alpha_of_tau(min(max(point.length, 1.0), k + 1.0), k), k)


Leap = tuple[int, int]
"""Neighbouring measured lengths (or 0, plain decoding) between which the cost may leap."""


def _leaps(points: Sequence[Point]) -> list[Leap]:
    known = [(0, 1.0), *((point.draft_tokens, point.cost) for point in points)]
    found = []
    gentle: float | None = None
    for (k, cost), (next_k, next_cost) in itertools.pairwise(known):
        slope = (next_cost - cost) / (next_k - k)
        if gentle is None:
            leaps = slope > BEYOND_ROWS
            suspicious = leaps or (slope > DEAR and next_k - k > 1)
        else:
            beyond = next_cost - (cost + gentle * (next_k - k))
            suspicious = leaps = slope > STEEP * gentle and beyond > LEAST_LEAP * cost
        if suspicious:
            found.append((k, next_k))
        if not leaps:
            gentle = max(0.0, slope)
    return found


def _steadied(own: Point, points: Sequence[Point], leaps: Sequence[Leap]) -> Belief:
    """A measurement and what the line through the others says of it, each by its certainty."""
    others = [p for p in points if p is not own and _same_side(p, own.draft_tokens, leaps)]
    line = _line(others, own.draft_tokens)
    if line is None:
        return Belief(math.log(own.speedup), own.error)
    cost, error = line
    weights = (own.error**-2, error**-2)
    means = (math.log(own.speedup), math.log(own.length / cost))
    if abs(means[0] - means[1]) > AT_ODDS * math.hypot(own.error, error):
        return Belief(means[0], own.error)
    mean = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    return Belief(mean, sum(weights) ** -0.5)


def _unmeasured(k: int, length: float, points: Sequence[Point], leaps: Sequence[Leap]) -> Belief:
    hidden = next((leap for leap in leaps if leap[0] < k < leap[1]), None)
    if hidden is None:
        line = _line([p for p in points if _same_side(p, k, leaps)], k)
        cost, error = line if line is not None else (1.0, UNSEEN)
        return Belief(math.log(length / cost), error)
    below = [p for p in points if p.draft_tokens <= hidden[0]]
    line = _line(below, k)
    cost, error = line if line is not None else (1.0, 0.0)
    return Belief(math.log(length / cost), UNSEEN + error)


def _same_side(point: Point, k: int, leaps: Sequence[Leap]) -> bool:
    return all((point.draft_tokens <= leap[0]) == (k <= leap[0]) for leap in leaps)


def _line(points: Sequence[Point], k: int) -> tuple[float, float] | None:
    """Cost at k by the weighted line through the points, and its relative error; None: no point.

    A single point is joined to plain decoding.
    """
    if not points:
        return None
    known = [(float(p.draft_tokens), p.cost, p.cost * math.hypot(p.error, BEND)) for p in points]
    if len(known) == 1:
        known.append((0.0, 1.0, START_ERROR))
    weights = [error**-2 for _, _, error in known]
    total = sum(weights)
    middle = sum(w * x for w, (x, _, _) in zip(weights, known, strict=True)) / total
    height = sum(w * y for w, (_, y, _) in zip(weights, known, strict=True)) / total
    spread = sum(w * (x - middle) ** 2 for w, (x, _, _) in zip(weights, known, strict=True))
    slope = (
        sum(w * (x - middle) * (y - height) for w, (x, y, _) in zip(weights, known, strict=True))
        / spread
    )
    cost = max(height + slope * (k - middle), LEAST_COST * min(y for _, y, _ in known))
    variance = 1 / total + (k - middle) ** 2 / spread
    if len(known) == 2:
        return cost, math.hypot(math.sqrt(variance) / cost, UNSEEN)
    misses = sum(
        w * (y - height - slope * (x - middle)) ** 2
        for w, (x, y, _) in zip(weights, known, strict=True)
    )
    variance *= max(1.0, misses / (len(known) - 2))
    return cost, math.hypot(math.sqrt(variance) / cost, BEND)
