"""Nominal memory bandwidth of chips whose driver does not tell it: Apple silicon."""

from __future__ import annotations

import re

GB = 1e9

APPLE_GB_PER_S: dict[str, float] = {
    "M1": 68,
    "M1 Pro": 200,
    "M1 Max": 400,
    "M1 Ultra": 800,
    "M2": 100,
    "M2 Pro": 200,
    "M2 Max": 400,
    "M2 Ultra": 800,
    "M3": 100,
    "M3 Pro": 150,
    "M3 Ultra": 819,
    "M4": 120,
    "M4 Pro": 273,
    "M5": 153,
    "M5 Pro": 307,
}
"""Peak GB/s as Apple publishes it."""

APPLE_MAX_GB_PER_S: dict[str, tuple[int, float, float]] = {
    "M3 Max": (40, 300, 400),
    "M4 Max": (40, 410, 546),
    "M5 Max": (40, 460, 614),
}
"""Chips sold with two memory buses: (GPU cores of the full chip, GB/s below that, GB/s of it)."""


def apple_bandwidth(chip: str, gpu_cores: int | None) -> float | None:
    """Nominal memory bandwidth in bytes/s of a chip named as by sysctl ('Apple M4 Max').

    None for a chip that is not in the table, and for one that is sold with two memory buses
    while its number of GPU cores is unknown: no ceiling is better than a wrong one.
    """
    found = re.fullmatch(r"Apple (M\d+(?: (?:Pro|Max|Ultra))?)", chip.strip())
    if found is None:
        return None
    name = found.group(1)
    if name in APPLE_MAX_GB_PER_S:
        full, lower, upper = APPLE_MAX_GB_PER_S[name]
        return None if gpu_cores is None else (upper if gpu_cores >= full else lower) * GB
    nominal = APPLE_GB_PER_S.get(name)
    return None if nominal is None else nominal * GB
