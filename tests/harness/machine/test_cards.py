from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.machine.cards import UnknownCardError, all_cards, card_of_device, find_card


def test_the_table_is_sane() -> None:
    names = [name.lower() for card in all_cards() for name in (card.name, *card.aliases)]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(all_cards()) > 100
    for card in all_cards():
        assert 40e9 <= card.bytes_per_s <= 9000e9, card
        assert card.memory_bytes is None or 4 * 2**30 <= card.memory_bytes <= 300 * 2**30, card
        assert card.source.startswith("https://"), card


def test_each_name_finds_its_card() -> None:
    for card in all_cards():
        for name in (card.name, *card.aliases):
            assert find_card(name) == card
            assert find_card(name.upper().replace(" ", "-")) == card


@pytest.mark.parametrize(
    ("name", "found", "gb_per_s"),
    [
        ("RTX 4090", "GeForce RTX 4090", 1008),
        ("rtx 4090", "GeForce RTX 4090", 1008),
        ("rtx4090", "GeForce RTX 4090", 1008),
        ("4090", "GeForce RTX 4090", 1008),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090", 1008),
        ("4070 ti super", "GeForce RTX 4070 Ti SUPER", 672),
        ("7900xtx", "Radeon RX 7900 XTX", 960),
        ("a770", "Arc A770", 560),
        ("m4 pro", "Apple M4 Pro", 273),
        ("Apple M1", "Apple M1", 68),
        ("M4 Max 40", "Apple M4 Max (40-core GPU)", 546),
        ("dgx spark", "DGX Spark (GB10)", 273),
        ("gb10", "DGX Spark (GB10)", 273),
        ("Strix Halo", "Ryzen AI Max+ 395 (Strix Halo)", 256),
        ("h100 sxm", "H100 SXM", 3350),
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell", 1792),
        ("A6000", "RTX A6000", 768),
        ("6000 ada", "RTX 6000 Ada", 960),
        ("ddr5-5600 dual channel", "DDR5-5600 2-channel", 89.6),
        ("3060 8gb", "GeForce RTX 3060 8GB", 240),
    ],
)
def test_loose_names(name: str, found: str, gb_per_s: float) -> None:
    card = find_card(name)
    assert card.name == found
    assert card.bytes_per_s == pytest.approx(gb_per_s * 1e9)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("M4 Max", ["several", "(32-core GPU) (410 GB/s)", "(40-core GPU) (546 GB/s)"]),
        ("H100", ["several", "H100 PCIe", "H100 SXM", "H100 NVL"]),
        ("RTX 4099", ["no hardware 'RTX 4099'", "GeForce RTX 4090", "--bandwidth"]),
        ("", ["no hardware ''"]),
        ("nvidia", ["no hardware 'nvidia'"]),
        ("Commodore 64", ["no hardware 'Commodore 64'"]),
        ("x" * 1000, ["no hardware 'xxx"]),
    ],
)
def test_no_card_or_several_are_said_with_what_is_near(name: str, words: list[str]) -> None:
    with pytest.raises(UnknownCardError) as raised:
        find_card(name)
    for word in words:
        assert word in str(raised.value)
    assert len(str(raised.value)) < 500


@given(name=st.text(max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_text_is_found_or_refused(name: str) -> None:
    with contextlib.suppress(UnknownCardError):
        assert find_card(name) in all_cards()


@pytest.mark.parametrize(
    ("name", "gib", "gb_per_s"),
    [
        ("NVIDIA GeForce RTX 3090", 24, 936),
        ("NVIDIA GB10", None, 273),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 95.6, 1792),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16, None),
        ("NVIDIA GeForce RTX 3060", 8, None),
        ("NVIDIA GeForce RTX 3060", 12, 360),
        ("NVIDIA H100", 80, None),
        ("", None, None),
    ],
)
def test_a_driver_s_name_counts_as_a_whole(
    name: str, gib: float | None, gb_per_s: float | None
) -> None:
    card = card_of_device(name, None if gib is None else int(gib * 2**30))
    assert (None if card is None else card.bytes_per_s / 1e9) == gb_per_s
