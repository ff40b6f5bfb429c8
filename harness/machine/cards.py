"""Nominal memory bandwidth of common hardware, found by a loosely written name.

The table is `cards.csv`: peak figures as published, each with the page that says so. The graphics
cards' were held against TechPowerUp's data base, the sticks of DDR are transfers/s x 8 bytes x
channels.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

GB = 1e9

MAKERS = ("nvidia", "amd", "intel", "apple")
SERIES = ("geforce", "gtx", "rtx", "tesla", "radeon", "rx", "instinct", "arc")
FAMILIES = frozenset((*MAKERS, *SERIES, "memory"))
"""Words of a name that people leave out."""
OFFERED = 6
MEMORY_TOLERANCE = 0.1
"""What drivers keep for themselves, and GB taken for GiB."""


@dataclass(frozen=True)
class Card:
    """One piece of hardware with memory of its own, or a kind of memory."""

    name: str
    aliases: tuple[str, ...]
    bytes_per_s: float
    """Peak, as published."""
    memory_bytes: float | None
    """Of its own; None where it is sold with several sizes."""
    source: str
    """URL of the page that gives the figure."""


class UnknownCardError(Exception):
    """No card goes by that name, or several do; the text offers the near ones."""


@functools.cache
def all_cards() -> tuple[Card, ...]:
    """The whole table, in its order."""
    text = (resources.files("harness.machine") / "cards.csv").read_text(encoding="utf-8")
    return tuple(
        Card(
            name=row["name"],
            aliases=tuple(row["aliases"].split(";")) if row["aliases"] else (),
            bytes_per_s=float(row["gb_per_s"]) * GB,
            memory_bytes=float(row["memory_gb"]) * 2**30 if row["memory_gb"] else None,
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def find_card(name: str) -> Card:
    """The card of that name: 'RTX 4090', '4090', 'rtx4090', 'NVIDIA GeForce RTX 4090' are one.

    Letters' case, the order of words and the maker's name do not matter. A name that is one
    card's whole name means that card ('4090' is not the 4090 D); a part of a name is enough where
    no other card has it too.

    Raises:
        UnknownCardError: none, or several.
    """
    wanted = _words(name)
    exact = _named(wanted)
    if len(exact) == 1:
        return exact[0]
    parts = set(wanted)
    holding = exact or [
        card for card in all_cards() if parts and any(parts <= set(_words(n)) for n in _names(card))
    ]
    if len(holding) == 1:
        return holding[0]
    if holding:
        raise UnknownCardError(f"{_shown(name)} may be several: {_listed(holding)}")
    near = _near(wanted)
    hint = f"near are {_listed(near)}" if near else "no name in the table is near"
    raise UnknownCardError(
        f"no hardware {_shown(name)} in the table; {hint}; any bandwidth can be given by itself, "
        "as in --bandwidth 1008GB/s"
    )


def card_of_device(name: str, memory_bytes: int | None) -> Card | None:
    """The card that a driver names; None unless the whole name and the memory are a card's.

    A part of a name is not enough: the laptop's 'RTX 4090' is another chip.
    """
    exact = _named(_words(name))
    if len(exact) != 1:
        return None
    known = exact[0].memory_bytes
    if known and memory_bytes and abs(memory_bytes / known - 1) > MEMORY_TOLERANCE:
        return None
    return exact[0]


def _named(wanted: tuple[str, ...]) -> list[Card]:
    return [card for card in all_cards() if any(_words(n) == wanted for n in _names(card))]


def _near(wanted: tuple[str, ...]) -> list[Card]:
    names = {" ".join(_words(n)): card for card in all_cards() for n in _names(card)}
    found = difflib.get_close_matches(" ".join(wanted), names, n=OFFERED, cutoff=0.5)
    return list({names[name].name: names[name] for name in found}.values())


def _listed(cards: Iterable[Card]) -> str:
    names = [f"{card.name} ({card.bytes_per_s / GB:g} GB/s)" for card in cards]
    more = f" and {len(names) - OFFERED} more" if len(names) > OFFERED else ""
    return ", ".join(names[:OFFERED]) + more


def _names(card: Card) -> tuple[str, ...]:
    return (card.name, *card.aliases)


def _words(name: str) -> tuple[str, ...]:
    """Letters and numbers apart and sorted: 'rtx4090' is 'RTX 4090'."""
    found = re.findall(r"[a-z]+|\d+", name.lower().replace("+", " plus "))
    return tuple(sorted(word for word in found if word not in FAMILIES))


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
