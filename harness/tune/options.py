"""What is believed of combinations of options that were not measured, from those that were.

A Gaussian process over the settings of a group. The logarithm of a speed-up is a level for each
draft length, plus what each value makes of it, which differs somewhat from length to length, plus
what each pair of values makes of each other, plus what the combination has of its own. Of levels
and of values nothing is known beforehand (their priors are wide), so that a star tells them as
differences: where values do not change what others do, what it says is exact. How much they do is
not known, and is the error of what is told of combinations, more for each further value. Measuring
a combination tells it of the values in it, and how strong such interactions are at all.

A value of an ordered axis that was not measured lies between its measured neighbours, with an error
for the bend. Any other value that was not measured may be anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.tune.curve import Belief
from harness.tune.group import Axis, Options
from runners.base.contract import OptionValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

UNKNOWN = 1.0
"""How much a level, and a value, may make of the logarithm of a speed-up, before anything is
measured: all that options were seen to do is well within."""
BY_LENGTH = 0.15
"""How much more or less a value may make of it at another draft length …"""
DOUBLINGS = 2.0
"""… so many doublings away."""
INTERACTIONS = (0.05, 0.15, 0.4)
"""How much two values may make of each other: what is likeliest by what was measured, and the least
as long as no combination was."""
OWN = 0.015
"""How much a combination may have of its own."""
BENDING = 0.08
"""How far a value may lie off the line between its measured neighbours, midway between them."""
LEAST_ERROR = 1e-3
"""Of a belief: what is told with less is told with this, so that nothing is divided by nothing."""

Setting = tuple[Options, int]
"""A family's options, and a draft length."""


def combined(
    axes: Sequence[Axis], told: Mapping[Setting, Belief], wanted: Sequence[Setting]
) -> dict[Setting, Belief]:
    """What is believed of `wanted`.

    `told`: what is known of settings by their own family's measurements; of those among `wanted` it
    is part of what is believed. Nothing told, nothing believed.
    """
    if not told:
        return {}
    import numpy as np  # noqa: PLC0415

    families = {one: number for number, (one, _) in enumerate([*told, *wanted])}
    values = [{one[at] for one, _ in told} for at in range(len(axes))]

    def features(settings: Sequence[Setting]) -> _Features:
        return _Features(
            [
                _places(axis, values[at], [one[at] for one, _ in settings])
                for at, axis in enumerate(axes)
            ],
            np.array([families[one] for one, _ in settings]),
            np.log2([float(k) for _, k in settings]),
        )

    known, asked = features(list(told)), features(wanted)
    means = np.array([belief.mean for belief in told.values()])
    errors = np.array([max(belief.error, LEAST_ERROR) for belief in told.values()])
    middle = float(means.mean())
    by_own_rounds = [at for at, belief in enumerate(told.values()) if belief.rounds]
    interaction = _likeliest(known, means - middle, errors, by_own_rounds)
    between = _covariance(asked, known, interaction)
    within = _covariance(known, known, interaction) + np.diag(errors**2)
    solved = np.linalg.solve(within, between.T).T
    found = middle + solved @ (means - middle)
    variances = _variances(asked, interaction) - (solved * between).sum(axis=1)
    return {
        one: Belief(float(mean), math.sqrt(variance))
        for one, mean, variance in zip(wanted, found, variances.clip(LEAST_ERROR**2), strict=True)
    }


@dataclass(frozen=True)
class _Features:
    """Settings as what they share with each other."""

    places: Sequence[Matrix]
    """By axis: (settings, values of the axis)."""
    family: NDArray[np.int64]
    doublings: Matrix
    """Of the draft length."""


def _covariance(one: _Features, other: _Features, interaction: float) -> Matrix:
    """Between settings (rows) and settings (columns)."""
    import numpy as np  # noqa: PLC0415

    apart = one.doublings[:, None] - other.doublings[None, :]
    near = np.exp(-0.5 * (apart / DOUBLINGS) ** 2)
    shares = [a @ b.T for a, b in zip(one.places, other.places, strict=True)]
    same = one.family[:, None] == other.family[None, :]
    found: Matrix = UNKNOWN**2 * (apart == 0) + OWN**2 * near * same
    for number, share in enumerate(shares):
        found += (UNKNOWN**2 + BY_LENGTH**2 * near) * share
        for before in shares[:number]:
            found += interaction**2 * near * share * before
    return found


def _variances(one: _Features, interaction: float) -> Matrix:
    """The diagonal of its covariance with itself."""
    import numpy as np  # noqa: PLC0415

    found = np.full(len(one.doublings), UNKNOWN**2 + OWN**2)
    squares = [(places * places).sum(axis=1) for places in one.places]
    for number, square in enumerate(squares):
        found += (UNKNOWN**2 + BY_LENGTH**2) * square
        for before in squares[:number]:
            found += interaction**2 * square * before
    return found


def _likeliest(known: _Features, means: Matrix, errors: Matrix, rows: Sequence[int]) -> float:
    """How strong interactions are, by the likelihood of these of the means."""
    import numpy as np  # noqa: PLC0415

    def likelihood(interaction: float) -> float:
        matrix = _covariance(known, known, interaction)[np.ix_(rows, rows)]
        matrix += np.diag(errors[rows] ** 2)
        _, volume = np.linalg.slogdet(matrix)
        return -0.5 * float(volume + means[rows] @ np.linalg.solve(matrix, means[rows]))

    return max(INTERACTIONS, key=likelihood) if rows else INTERACTIONS[0]


def _places(
    axis: Axis, told: Collection[OptionValue | None], values: Sequence[OptionValue | None]
) -> Matrix:
    """(values, values of the axis) -> by how much the one is like the other.

    A told value is itself. One between two told neighbours is both of them by its nearness, and a
    bend of its own.
    """
    import numpy as np  # noqa: PLC0415

    column = {value: number for number, value in enumerate(axis.values)}
    found = np.zeros((len(values), len(column)))
    for row, value in zip(found, values, strict=True):
        between = None if value in told else _neighbours(axis, told, value)
        if between is None:
            row[column[value]] = 1
        else:
            below, above, nearness = between
            row[column[below]], row[column[above]] = nearness, 1 - nearness
            row[column[value]] = 2 * math.sqrt(nearness * (1 - nearness)) * BENDING / UNKNOWN
    return found


def _neighbours(
    axis: Axis, told: Collection[OptionValue | None], value: OptionValue | None
) -> tuple[OptionValue | None, OptionValue | None, float] | None:
    """The told values below and above, and how near the one below is: 1 where it is the same."""
    if axis.ranks is None:
        return None
    place = axis.ranks[value]
    below = [other for other in told if axis.ranks[other] < place]
    above = [other for other in told if axis.ranks[other] > place]
    if not below or not above:
        return None
    low, high = max(below, key=axis.ranks.__getitem__), min(above, key=axis.ranks.__getitem__)
    gap = axis.ranks[high] - axis.ranks[low]
    return low, high, (axis.ranks[high] - place) / gap
