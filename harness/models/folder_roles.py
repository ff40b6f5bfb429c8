"""What a tensor of a Hugging Face or MLX folder is for, by its name."""

from __future__ import annotations

import re

from harness.models.weights import Role

_RULES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"(^|\.)(embed_tokens|wte|wpe|embed_in|word_embeddings)\w*\."), Role.EMBEDDING),
    (re.compile(r"(^|\.)(lm_head|embed_out)\."), Role.OUTPUT),
    (re.compile(r"\.shared_expert_gate\.|e_score_correction_bias"), Role.ROUTER),
    (re.compile(r"\.(mlp|block_sparse_moe|feed_forward|moe)\.(gate|router)\."), Role.ROUTER),
    (re.compile(r"\.router\."), Role.ROUTER),
    (re.compile(r"\.shared_(experts?|mlp)\."), Role.SHARED),
    (re.compile(r"\.(experts|switch_mlp)\."), Role.ROUTED),
    (re.compile(r"\.(linear_attn|mamba|ssm|mixer|short_conv|time_mix)\w*\."), Role.RECURRENT),
    (re.compile(r"(norm|ln_\w+|layernorm)\w*\.(weight|bias)$"), Role.NORM),
    (re.compile(r"\.(self_attn|attn|attention|self_attention|cross_attn)\."), Role.ATTENTION),
    (
        re.compile(r"\.(mlp|feed_forward|ffn|block_sparse_moe)\.|\.(gate|up|down)_proj\."),
        Role.FEED_FORWARD,
    ),
)


def role_of(name: str) -> Role:
    """The role by name; MTP layers and parts for other senses are not told here."""
    return next((role for pattern, role in _RULES if pattern.search(name)), Role.OTHER)
