from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.theory.ceiling import (
    CACHE_TYPE_BYTES,
    decode_ceiling,
    expected_experts,
    kv_bytes_as,
    utilisation,
    verified_active_bytes,
)

sizes = st.floats(min_value=1, max_value=1e12)
depths = st.integers(min_value=0, max_value=1_000_000)


def test_utilisation_is_the_share_of_the_ceiling() -> None:
    # An RTX 3090 with Llama 3 8B in F16; all published rates are in tests/benchmarks.
    ceiling = decode_ceiling(936e9, 16.06e9, 0, 0)
    assert utilisation(46.51, ceiling) == pytest.approx(0.80, abs=0.005)


def test_the_cache_counts_by_its_depth() -> None:
    assert decode_ceiling(1000, 60, 0.5, 80) == 10


def test_speculation_yields_tau_tokens_for_one_pass_and_the_drafts() -> None:
    assert decode_ceiling(1000, 80, 0, 0, tau=3, draft_tokens=4, draft_active_bytes=5) == 30


@given(bandwidth=sizes, active=sizes, kv=sizes, depth=depths, more=st.integers(1, 1000))
@settings(max_examples=50)
def test_depth_never_raises_the_ceiling(
    bandwidth: float, active: float, kv: float, depth: int, more: int
) -> None:
    deeper = decode_ceiling(bandwidth, active, kv, depth + more)
    assert deeper <= decode_ceiling(bandwidth, active, kv, depth)


@given(bandwidth=sizes, active=sizes, tau=st.floats(1, 8), k=st.integers(8, 16), draft=sizes)
@settings(max_examples=50)
def test_the_ceiling_is_proportional_to_tau_and_falls_with_the_drafter(
    bandwidth: float, active: float, tau: float, k: int, draft: float
) -> None:
    free = decode_ceiling(bandwidth, active, 0, 0, tau=tau, draft_tokens=k)
    assert free == pytest.approx(tau * decode_ceiling(bandwidth, active, 0, 0))
    paid = decode_ceiling(
        bandwidth, active, 0, 0, tau=tau, draft_tokens=k, draft_active_bytes=draft
    )
    assert paid < free or draft < active * 1e-12


@pytest.mark.parametrize(
    ("bandwidth", "active", "kv", "depth", "tau", "k"),
    [
        (0, 1, 0, 0, 1, 0),
        (math.nan, 1, 0, 0, 1, 0),
        (math.inf, 1, 0, 0, 1, 0),
        (1, -1, 0, 0, 1, 0),
        (1, 0, 0, 0, 1, 0),
        (1, 1, -1, 0, 1, 0),
        (1, 1, 0, -1, 1, 0),
        (1, 1, 0, 0, 0.9, 0),
        (1, 1, 0, 0, math.nan, 0),
        (1, 1, 0, 0, 4.1, 3),
        (1, 1, 0, 0, 1, -1),
    ],
)
def test_senseless_input_is_refused(
    bandwidth: float, active: float, kv: float, depth: float, tau: float, k: int
) -> None:
    with pytest.raises(ValueError, match=r"must|yield"):
        decode_ceiling(bandwidth, active, kv, depth, tau=tau, draft_tokens=k)


def test_utilisation_refuses_no_ceiling() -> None:
    with pytest.raises(ValueError, match="ceiling"):
        utilisation(1, 0)
    with pytest.raises(ValueError, match="rate"):
        utilisation(-1, 1)


def test_cache_types_scale_the_f16_bytes() -> None:
    assert kv_bytes_as(23040) == 23040
    assert kv_bytes_as(23040, "q8_0", "q8_0") == 23040 * 34 / 64
    assert kv_bytes_as(64, "q8_0", "q4_0") == 64 * (34 + 18) / 128
    assert kv_bytes_as(64, "f32", "f32") == 128


def test_cache_types_agree_with_the_gguf_package() -> None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for name, size in CACHE_TYPE_BYTES.items():
        elements, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[name.upper()]]
        assert size == block_bytes / elements


def test_an_unknown_cache_type_is_named() -> None:
    with pytest.raises(ValueError, match="'q3_0'"):
        kv_bytes_as(1, "q3_0")


@given(experts=st.integers(1, 512), share=st.floats(0.001, 1), rows=st.integers(1, 64))
@settings(max_examples=100)
def test_more_rows_need_more_experts_up_to_all(experts: int, share: float, rows: int) -> None:
    used = max(1, int(experts * share))
    expected = expected_experts(experts, used, rows)
    assert expected_experts(experts, used, 1) == pytest.approx(used)
    assert used - 1e-9 <= expected <= min(experts, rows * used) + 1e-9
    assert expected <= expected_experts(experts, used, rows + 1) + 1e-9


def test_verifying_reads_more_experts() -> None:
    assert verified_active_bytes(100, 80, experts=8, used=2, rows=1) == pytest.approx(100)
    # Two rows choosing 2 of 8 each: 8 x (1 - 0.75^2) = 3.5 experts of 10 bytes.
    assert verified_active_bytes(100, 80, experts=8, used=2, rows=2) == pytest.approx(115)
    with pytest.raises(ValueError, match="row"):
        verified_active_bytes(100, 80, experts=8, used=2, rows=0)
    with pytest.raises(ValueError, match="experts"):
        expected_experts(8, 9, 1)
