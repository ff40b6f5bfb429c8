"""Medians and geometric means with bootstrap intervals that come out the same every time."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


CONFIDENCE = 0.95
RESAMPLES = 9_999
SEED = 0
"""Fixed, so that the same samples always give the same report."""

LARGEST_BATCH = 2_000_000
"""Values that are resampled at once (16 MB): a long run must not fill the memory."""


@dataclass(frozen=True)
class Interval:
    """A 95% bootstrap confidence interval, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None where the values cannot carry one."""

    value: float
    interval: Interval | None
    count: int
    """How many values it was made of."""


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def median_estimate(values: Sequence[float]) -> Estimate | None:
    """The median of `values` with its interval; None of nothing."""
    if not values:
        return None
    return _estimate(values, statistics.median(values), "median")


def geometric_mean_estimate(ratios: Sequence[float]) -> Estimate | None:
    """The geometric mean of `ratios` (all above 0) with its interval; None of nothing.

    The geometric mean is the one mean for which a ratio of 2 and a ratio of 1/2 cancel, so it
    does not depend on which arm stands above the line.
    """
    if not ratios:
        return None
    return _estimate(ratios, statistics.geometric_mean(ratios), "geometric mean")


def _estimate(
    values: Sequence[float], value: float, statistic: Literal["median", "geometric mean"]
) -> Estimate:
    return Estimate(value, _interval(values, value, statistic), len(values))


def _interval(
    values: Sequence[float], value: float, statistic: Literal["median", "geometric mean"]
) -> Interval | None:
    """BCa where it can be computed, the percentile method otherwise (Efron 1987).

    That of a geometric mean is widened for its few values; a median's cannot be, beyond what its
    smallest and largest value allow.

    None for one value, two values, or values that are all equal: resampling them says nothing
    about what a further measurement would give.
    """
    if len(values) < 3 or min(values) == max(values):
        return None
    import numpy as np  # noqa: PLC0415

    data = np.asarray(values, dtype=np.float64)
    if statistic == "median":
        return _bootstrap(data, value, np.median)
    centre = math.log(value)
    ends = _bootstrap(np.log(data), centre, np.mean)
    if ends is None:
        return None
    widen = _expansion(len(values))
    low = math.exp(centre - widen * (centre - ends.low))
    high = math.exp(centre + widen * (ends.high - centre))
    # The way through the logarithm rounds: an end that is the value itself may fall beside it.
    return Interval(min(low, value), max(high, value))


def _expansion(count: int) -> float:
    """By what the bootstrap's interval of a mean of `count` values is too narrow.

    Resampling sees a spread that is sqrt((n-1)/n) of the true one, and takes it for known: both
    are mended as Student's t mends them (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69:4, on the expanded percentile interval). It matters:
    of 600 draws of three ratios around 1, BCa alone put 17% above 1, this 3%.
    """
    from scipy import stats  # noqa: PLC0415

    tail = (1 + CONFIDENCE) / 2
    student, normal = float(stats.t.ppf(tail, count - 1)), float(stats.norm.ppf(tail))
    return student / normal * math.sqrt(count / (count - 1))


def _bootstrap(data: Floats, value: float, statistic: Callable[..., Floats]) -> Interval | None:
    import numpy as np  # noqa: PLC0415
    from scipy import stats  # noqa: PLC0415

    methods: tuple[Literal["BCa", "percentile"], ...] = ("BCa", "percentile")
    for method in methods:
        with warnings.catch_warnings():
            # Degenerate data make BCa warn and answer nan; the percentile method then steps in.
            warnings.simplefilter("ignore")
            ends = stats.bootstrap(
                (data,),
                statistic,
                n_resamples=RESAMPLES,
                confidence_level=CONFIDENCE,
                method=method,
                batch=max(1, LARGEST_BATCH // data.size),
                rng=np.random.default_rng(SEED),
            ).confidence_interval
        low, high = float(ends.low), float(ends.high)
        if math.isfinite(low) and math.isfinite(high):
            # BCa can shift an interval of few values past the estimate itself; an interval that
            # leaves out its own estimate would be misread, so it is widened to hold it.
            return Interval(min(low, value), max(high, value))
    return None
