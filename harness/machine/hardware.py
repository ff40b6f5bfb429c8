"""Nominal memory bandwidth of chips whose driver does not tell it: Apple silicon."""

from __future__ import annotations

import re

from harness.machine.cards import all_cards

CORES = re.compile(r"(.+) \((\d+)-core GPU\)")


def apple_bandwidth(chip: str, gpu_cores: int | None) -> float | None:
    """Nominal memory bandwidth in bytes/s of a chip named as by sysctl ('Apple M4 Max').

    None for a chip that is not in the table, and for one that is sold with two memory buses
    while its number of GPU cores is unknown: no ceiling is better than a wrong one.
    """
    name = chip.strip()
    if not name.startswith("Apple "):
        return None
    buses: dict[int, float] = {}
    for card in all_cards():
        if card.name == name:
            return card.bytes_per_s
        tier = CORES.fullmatch(card.name)
        if tier and tier[1] == name:
            buses[int(tier[2])] = card.bytes_per_s
    if not buses or gpu_cores is None:
        return None
    # The wide bus belongs to the full chip alone; fewer cores than the table's are a cut one's.
    full = max(buses)
    return buses[full] if gpu_cores >= full else buses[min(buses)]
