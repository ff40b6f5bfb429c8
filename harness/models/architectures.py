"""Which architectures of GGUF files are known by name."""

from __future__ import annotations

NEWER = frozenset(
    {
        "bailingmoe3",
        "clef",
        "cohere2moe",
        "deepseek32",
        "deepseek4",
        "dflash",
        "dots3note",
        "eagle3",
        "gemma4-assistant",
        "glm5-next",
        "granite_swa",
        "graniteswitch",
        "hrm_text",
        "hy_v3",
        "hy_v4",
        "kimi-k3",
        "laguna",
        "maple",
        "mellum",
        "minimax-01",
        "minimax-m3",
        "muse-glimmer",
        "nanbeige",
        "qwen4exp",
        "spark2_5",
        "talkie",
    }
)
"""Text models that llama.cpp (b11434, llama-arch.cpp) names and the gguf package does not yet."""

OWN_CACHE = frozenset({"deepseek4", "dots3note", "minimax-m3", "qwen4exp"})
"""They compress or pool their cache in ways of their own, which the usual keys do not tell."""


def is_known(architecture: str) -> bool:
    """Whether llama.cpp has such a model, so that the usual names of tensors mean the usual."""
    from gguf import MODEL_ARCH_NAMES  # noqa: PLC0415

    return architecture in NEWER or architecture in MODEL_ARCH_NAMES.values()
