from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.quantities import UNITS, parse_bandwidth, parse_share, parse_shares, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("14GB", 14e9),
        ("14 GB", 14e9),
        (" 13.5GiB ", 13.5 * 2**30),
        ("96576768B", 96_576_768),
        ("1.5TB", 1.5e12),
        ("24kB", 24e3),
        ("24KiB", 24 * 1024),
    ],
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size
    assert parse_bandwidth(f"{text}/s") == size


@given(number=st.integers(1, 10**9), unit=st.sampled_from(sorted(UNITS)))
@settings(max_examples=50)
def test_a_size_is_its_number_of_units(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * UNITS[unit]


@pytest.mark.parametrize(
    "text",
    [
        *("", "14", "GB", "14Gb", "14gb", "-14GB", "0GB", "0.0GiB", "1e9B", "14GB/s", "inf GB"),
        *("nan", "14  GB", "\u0661\u0664GB", "14GBGB", "9" * 400 + "GB"),
    ],
)
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="size") as raised:
        parse_size(text)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("text", ["", "1008", "1008GB", "1008GB/min", "-5GB/s", "0GB/s", "/s"])
def test_no_bandwidth(text: str) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        parse_bandwidth(text)


def test_shares() -> None:
    assert parse_shares("0.65") == (0.65,)
    assert parse_shares("0.9, .7,0.5") == (0.9, 0.7, 0.5)
    assert parse_shares("1,0") == (1, 0)


@pytest.mark.parametrize("text", ["", "65%", "1.1", "-0.1", "0.9,", "nan", "0.5;0.4", "65", "1e-3"])
def test_no_shares(text: str) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_shares(text)


@given(text=st.text(max_size=20))
@settings(max_examples=100)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_size, parse_bandwidth, parse_shares):
        with contextlib.suppress(ValueError):
            assert parse(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("5%", 0.05), ("0.05", 0.05), (".05", 0.05), (" 2.5 % ", 0.025), ("99%", 0.99)],
)
def test_one_share(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "5", "1", "100%", "0", "0%", "-5%", "5%%", "nan", "1e-3", "%"]
)
def test_no_share(text: str) -> None:
    with pytest.raises(ValueError, match="above 0% and below 100%"):
        parse_share(text)
