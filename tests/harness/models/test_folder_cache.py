from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.cache import CacheKind
from harness.models.folder_cache import folder_cache

PLAIN = {"num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 64}
"""Two heads of 8: 16 keys and 16 values."""
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_num_value_heads": 4,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}


def kinds(config: dict[str, Any], layers: int) -> dict[str, tuple[int, int]] | None:
    """Layers, and numbers kept of a token, by kind."""
    found = folder_cache(PLAIN | config, layers)
    return found and {g.kind.name: (g.layers, g.keys + g.values) for g in found}


@given(
    listed=st.lists(
        st.sampled_from(["full_attention", "sliding_attention", "linear_attention"]),
        min_size=1,
        max_size=8,
    )
)
def test_layers_by_their_types(listed: list[str]) -> None:
    found = kinds({"layer_types": listed, "sliding_window": 128} | LINEAR, len(listed))
    expected = {}
    for name, kind, kept in (
        ("full_attention", "FULL", 32),
        ("sliding_attention", "SLIDING", 32),
        ("linear_attention", "RECURRENT", 0),
    ):
        if count := listed.count(name):
            expected[kind] = (count, count * kept)
    assert found == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"FULL": (12, 384)}),
        ({"sliding_window": 512, "use_sliding_window": False}, {"FULL": (12, 384)}),
        (
            {"sliding_window": 512, "sliding_window_pattern": 6},
            {"FULL": (2, 64), "SLIDING": (10, 320)},
        ),
        (
            {"sliding_window": 512, "max_window_layers": 9},
            {"FULL": (9, 288), "SLIDING": (3, 96)},
        ),
        ({"sliding_window": 4096, "model_type": "mistral"}, {"SLIDING": (12, 384)}),
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, {"LATENT": (12, 12 * 576)}),
        ({"num_kv_shared_layers": 4}, {"FULL": (8, 256), "SHARED": (4, 0)}),
        ({"full_attention_interval": 4} | LINEAR, {"FULL": (3, 96), "RECURRENT": (9, 0)}),
        ({"head_dim": 16, "v_head_dim": 4}, {"FULL": (12, 12 * 2 * 20)}),
    ],
)
def test_what_config_json_tells(config: dict[str, Any], expected: dict[str, Any]) -> None:
    assert kinds(config, 12) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"sliding_window": 512},
        {"layer_types": ["full_attention"] * 11},
        {"layer_types": ["mystery"] * 12},
        {"layer_types": ["sliding_attention"] * 12},
        {"layer_types": [["full_attention"]] * 12},
        {"num_attention_heads": None, "num_key_value_heads": None},
        {"global_head_dim": 512},
        {"index_head_dim": 128},
    ],
)
def test_what_it_does_not_tell(config: dict[str, Any]) -> None:
    assert kinds(config, 12) is None
    assert folder_cache({}, 0) is None


def test_the_state_of_a_gated_delta_net() -> None:
    found = folder_cache(PLAIN | LINEAR | {"layer_types": ["linear_attention"] * 3}, 3)
    assert found is not None
    (group,) = found
    assert group.kind is CacheKind.RECURRENT
    # Four heads of 16 x 8, and three tokens of two heads of 16 keys, as many queries, and values.
    assert group.state_bytes == 3 * 4 * (4 * 16 * 8 + 3 * (2 * 16 + 2 * 16 + 4 * 8))
    unsaid = folder_cache(PLAIN | {"layer_types": ["linear_attention"]}, 1)
    assert unsaid is not None
    assert unsaid[0].state_bytes is None
