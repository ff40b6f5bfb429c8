"""What a tensor of a GGUF file is for, by its name (llama.cpp, src/llama-arch.cpp)."""

from __future__ import annotations

import re

from harness.models.weights import Role

_NORM = re.compile(r"(^|[._])[a-z0-9_]*norm(_\w+)?\.(weight|bias)$")
_BLOCK = re.compile(r"^blk\.\d+\.")
_RULES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"^(token_embd|per_layer_token_embd|position_embd|token_types)\."), Role.EMBEDDING),
    (re.compile(r"^output\."), Role.OUTPUT),
    (re.compile(r"^(ssm_|time_mix_|channel_mix_|shortconv\.)"), Role.RECURRENT),
    (_NORM, Role.NORM),
    (re.compile(r"^(ffn_gate_inp|exp_probs_b|ffn_gate_tid2eid)"), Role.ROUTER),
    (re.compile(r"_shexp\."), Role.SHARED),
    (re.compile(r"^ffn_\w+_(ch)?exps\.|^ffn_(gate|up|down)\.\d+\."), Role.ROUTED),
    (re.compile(r"^ffn[_.]"), Role.FEED_FORWARD),
    (re.compile(r"^(attn_|indexer)"), Role.ATTENTION),
)


def role_of(name: str, *, linear: bool) -> Role:
    """The role by name; `linear`: of a layer whose attention is a recurrent one.

    MTP layers cannot be told by their names alone and are not told here.
    """
    own = _BLOCK.sub("", name)
    role = next((role for pattern, role in _RULES if pattern.search(own)), Role.OTHER)
    return Role.RECURRENT if linear and role is Role.ATTENTION else role
