"""How numbers and lists are printed: the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.statistics import Estimate, Interval

UNKNOWN = "–"
NOT_EXPOSED = "not exposed"


def counted(count: int, one: str, several: str | None = None) -> str:
    """'1 request', '3 requests'."""
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def rate(value: float) -> str:
    """Three or more digits: '162.6', '41.3', '6.72'."""
    return f"{value:.{_rate_decimals(value)}f}"


def rate_estimate(estimate: Estimate) -> str:
    """'41.3 [40.9, 41.8]', or the value alone where it has no interval."""
    return _estimate(estimate, _rate_decimals(estimate.value))


def speedup(estimate: Estimate, unit: str = "x") -> str:
    """'1.32x [1.25, 1.40]'."""
    return _estimate(estimate, 2, unit)


def percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.9995 else f"{share:.0%}"


def whole_percent(share: float) -> str:
    return f"{share:.0%}"


def length(value: float) -> str:
    """Tokens a step."""
    return f"{value:.2f}"


def seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def seconds_estimate(estimate: Estimate) -> str:
    """'83.1 ms [80.4, 85.0]', '1.24 s [1.20, 1.31]': three digits."""
    scale, unit = (1000, " ms") if estimate.value < 1 else (1, " s")
    value = estimate.value * scale
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    interval = estimate.interval
    if interval is not None:
        interval = Interval(interval.low * scale, interval.high * scale)
    return _estimate(Estimate(value, interval, estimate.count), decimals, unit)


def size(value: float) -> str:
    """Bytes in powers of ten, as bandwidths are given: '3.82 GB', '24.5 MB', '10.0 kB'."""
    for unit, bytes_of_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= bytes_of_it:
            return f"{value / bytes_of_it:.{2 if unit == 'GB' else 1}f} {unit}"
    return f"{value:.0f} B"


def bandwidth(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.1f} GB/s"


def _estimate(estimate: Estimate, decimals: int, unit: str = "") -> str:
    value = f"{estimate.value:.{decimals}f}{unit}"
    if estimate.interval is None:
        return value
    return f"{value} [{estimate.interval.low:.{decimals}f}, {estimate.interval.high:.{decimals}f}]"


def _rate_decimals(value: float) -> int:
    return 1 if value >= 10 else 2
