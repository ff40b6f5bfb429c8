"""Quantities as a user writes them: '14GB', '1008GB/s', '0.9,0.7,0.5', '5%', '10m'."""

from __future__ import annotations

import re

UNITS = {
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
"""Bytes of each unit: powers of ten, and with an i of two. Case counts: Gb would be bits."""

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]+)")


def parse_size(text: str) -> float:
    """'14GB' -> 14e9, '14 GiB' -> 14 x 2^30; bytes.

    Raises:
        ValueError: not a number above 0 with one of `UNITS`.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"{_shown(text)} is no size such as 14GB or 13.5GiB")
    found = float(match[1]) * UNITS[match[2]]
    if found <= 0:
        raise ValueError(f"{_shown(text)}: a size is above 0")
    return found


def parse_bandwidth(text: str) -> float:
    """'1008GB/s' -> 1008e9; bytes per second.

    Raises:
        ValueError: not a size above 0 per second.
    """
    size, slash, second = text.strip().rpartition("/")
    if not slash or second != "s":
        raise ValueError(f"{_shown(text)} is no bandwidth such as 1008GB/s or 1.8TB/s")
    try:
        return parse_size(size)
    except ValueError:
        raise ValueError(
            f"{_shown(text)} is no bandwidth above 0 such as 1008GB/s or 1.8TB/s"
        ) from None


def parse_shares(text: str) -> tuple[float, ...]:
    """'0.9,0.7,0.5' -> (0.9, 0.7, 0.5).

    Raises:
        ValueError: not numbers from 0 to 1 with commas between.
    """
    found = []
    for part in text.split(","):
        if not re.fullmatch(r"\s*(0|1|[01]?\.[0-9]{1,15})\s*", part) or not 0 <= float(part) <= 1:
            raise ValueError(
                f"{_shown(text)} is no share from 0 to 1 such as 0.65, and no list of such"
            )
        found.append(float(part))
    return tuple(found)


def parse_share(text: str) -> float:
    """'5%' or '0.05' -> 0.05: a threshold, or how exact a figure is to be.

    Raises:
        ValueError: not above 0% and below 100%.
    """
    match = re.fullmatch(r"\s*([0-9]{1,3}|[0-9]{0,3}\.[0-9]{1,15})\s*(%?)\s*", text)
    found = 0.0 if match is None else float(match[1]) / (100 if match[2] else 1)
    if not 0 < found < 1:
        raise ValueError(f"{_shown(text)} is no share above 0% and below 100%, such as 5% or 0.05")
    return found


def parse_duration(text: str) -> float:
    """'10m', '90s', '1.5h' or '90' -> seconds.

    Raises:
        ValueError: not a number above 0 with s, m, h or no unit.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([smh]?)\s*", text)
    found = (
        0.0 if match is None else float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    )
    if found <= 0:
        raise ValueError(f"{_shown(text)} is no time above 0 such as 10m, 90s or 1.5h")
    return found


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
