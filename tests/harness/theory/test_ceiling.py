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

# Published decode rates: hardware and model, GB/s, GB read per token, tok/s, utilisation in %.
# Sources: llama.cpp discussion 4167 (Apple), XiongjieDai/GPU-Benchmarks-on-LLM-Inference (3090,
# 4090, H100), llama.cpp benches/dgx-spark (GB10).
PUBLISHED = [
    ("M1 7B Q4_0", 68, 3.82, 14.15, 80),
    ("M2 7B F16", 100, 13.48, 6.72, 91),
    ("M2 7B Q4_0", 100, 3.82, 21.91, 84),
    ("M4 7B F16", 120, 13.48, 7.43, 83),
    ("M4 7B Q4_0", 120, 3.82, 24.11, 77),
    ("M3 Pro 7B Q4_0", 150, 3.82, 30.74, 78),
    ("M4 Pro 7B F16", 273, 13.48, 17.18, 85),
    ("M4 Pro 7B Q4_0", 273, 3.82, 50.74, 71),
    ("M2 Max 7B F16", 400, 13.48, 24.16, 81),
    ("M4 Max 7B F16", 546, 13.48, 31.64, 78),
    ("M4 Max 7B Q4_0", 546, 3.82, 83.06, 58),
    ("M2 Ultra 7B F16", 800, 13.48, 41.02, 69),
    ("M2 Ultra 7B Q4_0", 800, 3.82, 94.27, 45),
    ("RTX 3090 8B F16", 936, 16.06, 46.51, 80),
    ("RTX 3090 8B Q4_K_M", 936, 4.92, 111.74, 59),
    ("RTX 4090 8B F16", 1008, 16.06, 54.34, 87),
    ("RTX 4090 8B Q4_K_M", 1008, 4.92, 127.74, 62),
    ("H100 PCIe 8B F16", 2039, 16.06, 67.79, 53),
    ("RTX PRO 6000 7B Q4_0", 1792, 3.82, 278.95, 60),
    ("GB10 7B Q8_0", 273, 7.52, 29.30, 81),
    ("GB10 gpt-oss-120b", 273, 3.59, 59.02, 78),
    ("GB10 30B-A3B Q8_0", 273, 3.27, 60.92, 73),
]

sizes = st.floats(min_value=1, max_value=1e12)
depths = st.integers(min_value=0, max_value=1_000_000)


@pytest.mark.parametrize(
    ("bandwidth", "size", "rate", "percent"),
    [row[1:] for row in PUBLISHED],
    ids=[row[0] for row in PUBLISHED],
)
def test_published_rates_have_the_published_utilisation(
    bandwidth: float, size: float, rate: float, percent: float
) -> None:
    ceiling = decode_ceiling(bandwidth * 1e9, size * 1e9, 0, 0)
    assert 100 * utilisation(rate, ceiling) == pytest.approx(percent, abs=1)


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
