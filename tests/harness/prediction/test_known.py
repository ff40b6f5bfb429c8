"""What is known of kinds of hardware, held to where it comes from."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.validation import geometric_fit, one_point, published
from harness.machine.cards import all_cards
from harness.machine.gpu import Gpu
from harness.prediction.costs import (
    A_TOKEN_EACH,
    EIGHT_ROWS_CUDA,
    EIGHT_ROWS_M4,
    KNOWN,
    MTP_4090,
    MTP_5090,
    costs_of,
)
from harness.prediction.kinds import Kind, kind_of_card, kind_of_run
from harness.prediction.shares import ALL, ON_PROCESSORS, PUBLISHED, Share, share_of
from harness.records import RunnerInfo
from harness.theory.step_cost import cost_of_pass
from tests.harness.builders import MACHINE, make_arm, make_manifest


@pytest.mark.parametrize(
    ("share", "kinds"),
    [
        (PUBLISHED[Kind.NVIDIA], {Kind.NVIDIA}),
        (PUBLISHED[Kind.APPLE], {Kind.APPLE}),
        (ALL, set(Kind)),
    ],
)
def test_shares_are_those_of_the_published_rates(share: Share, kinds: set[Kind]) -> None:
    rates = [rate for rate in published().rates if kind_of_card(rate.card.name) in kinds]
    used = [rate.utilisation for rate in rates]
    assert share.low == pytest.approx(min(used), abs=0.005)
    assert share.middle == pytest.approx(statistics.median(used), abs=0.005)
    assert share.high == pytest.approx(max(used), abs=0.005)
    assert share.fastest_ceiling == pytest.approx(max(rate.ceiling for rate in rates), abs=0.5)
    assert str(len(rates)) in share.source


def test_costs_are_those_of_the_published_figures() -> None:
    data = published()
    passes = data.values["passes"]
    assert EIGHT_ROWS_CUDA.per_row == pytest.approx(
        cost_of_pass(passes["CUDA"], passes["rows"]), abs=0.005
    )
    assert EIGHT_ROWS_M4.per_row == pytest.approx(
        cost_of_pass(passes["M4"], passes["rows"]), abs=0.005
    )
    assert MTP_5090.per_row == pytest.approx(geometric_fit(data)[1])
    assert MTP_4090.per_row == pytest.approx(one_point(data, "mtp-4090")[1], abs=0.005)
    assert set(KNOWN) == set(Kind)


def test_kinds_of_the_table() -> None:
    kinds = {kind: {c.name for c in all_cards() if kind_of_card(c.name) is kind} for kind in Kind}
    assert all(name.startswith("Apple M") for name in kinds[Kind.APPLE])
    assert all("DDR" in name for name in kinds[Kind.PROCESSOR])
    assert {name.split()[0] for name in kinds[Kind.OTHER]} == {"Radeon", "Instinct", "Ryzen", "Arc"}
    words = {
        "GeForce",
        "TITAN",
        "Quadro",
        "RTX",
        "Tesla",
        "A10",
        "A10G",
        "A16",
        "A30",
        "A40",
        "A100",
    }
    words |= {"L4", "L40", "L40S", "H100", "H200", "B200", "DGX", "Jetson"}
    assert {name.split()[0] for name in kinds[Kind.NVIDIA]} == words


@pytest.mark.parametrize(
    ("devices", "gpu", "kind"),
    [
        ("CPU: A Processor", "NVIDIA H100", Kind.PROCESSOR),
        ("CUDA0: NVIDIA H100", "NVIDIA H100", Kind.NVIDIA),
        ("Metal: Apple M4", "Apple M4 GPU", Kind.APPLE),
        ("Vulkan0: AMD", "Radeon RX 7900", Kind.OTHER),
    ],
)
def test_kind_of_a_run(devices: str, gpu: str, kind: Kind) -> None:
    info = RunnerInfo(
        name="llama.cpp", version="1", where="x", acceptance_source="x", devices=(devices,)
    )
    card = Gpu(name=gpu, memory_bytes=1, bandwidth_bytes_per_s=None)
    machine = MACHINE.model_copy(update={"gpus": (card,)})
    manifest = make_manifest([make_arm()], [], machine=machine, runners=(info,))
    assert kind_of_run(manifest, make_arm()) is kind


SHARES = st.sampled_from([*PUBLISHED.values(), ALL, ON_PROCESSORS])


@given(SHARES, st.floats(0.1, 1e6), st.floats(1, 10))
def test_a_higher_ceiling_is_never_slower(share: Share, ceiling: float, times: float) -> None:
    before, after = share.rates(ceiling), share.rates(ceiling * times)
    assert all(a <= b * (1 + 1e-9) for a, b in zip(before, after, strict=True))


@given(SHARES, st.floats(0.1, 1e6))
def test_rates_stay_below_the_ceiling_and_in_order(share: Share, ceiling: float) -> None:
    low, middle, high = share.rates(ceiling)
    assert 0 < low <= middle * (1 + 1e-9) <= high * (1 + 2e-9) <= ceiling * (1 + 3e-9)


@given(st.floats(0.01, 0.99))
def test_a_share_that_was_measured_is_held(measured: float) -> None:
    found = ALL.holding(measured, "measured")
    assert found.low <= measured <= found.high


def test_costs_that_count() -> None:
    assert [c.per_row for c in costs_of(Kind.NVIDIA, 0.3, (), short_steps=True)] == [0.3]
    assert costs_of(Kind.APPLE, None, (), short_steps=False) == KNOWN[Kind.APPLE]
    assert A_TOKEN_EACH in costs_of(Kind.APPLE, None, (), short_steps=True)
    assert costs_of(Kind.PROCESSOR, None, (), short_steps=True) == KNOWN[Kind.PROCESSOR]
    assert share_of(Kind.OTHER) is ALL
