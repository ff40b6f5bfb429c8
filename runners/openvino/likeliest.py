"""How likely each next token is: GenAI tells it of the token that it takes, and of no other one.

So the model is run without GenAI, by OpenVINO itself, on all tokens at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from runners.openvino.exported import MODEL, exported_for_now


class Likeliest:
    """The model of a GGUF file, as OpenVINO computes it."""

    def __init__(self, model: Path, device: str, properties: Mapping[str, Any]) -> None:
        """Load the model a second time.

        Raises:
            RuntimeError: it cannot be exported or loaded.
            OSError: the cache cannot be written.
        """
        with exported_for_now(model) as folder:
            compiled = openvino.Core().compile_model(folder / MODEL, device, dict(properties))
        self._request = compiled.create_infer_request()

    def after(self, tokens: Sequence[int], count: int) -> list[tuple[int, float]]:
        """The likeliest tokens after `tokens`, with natural logarithms of their probabilities."""
        inputs = {
            "input_ids": np.array([tokens], np.int64),
            "attention_mask": np.ones((1, len(tokens)), np.int64),
            "position_ids": np.arange(len(tokens), dtype=np.int64)[np.newaxis],
            "beam_idx": np.zeros(1, np.int32),
        }
        self._request.reset_state()
        self._request.infer(inputs)
        logits = np.array(self._request.get_tensor("logits").data[0, -1], np.float64)
        logits -= logits.max()
        logprobs = logits - np.log(np.exp(logits).sum())
        # Stable: of equal ones the smaller id comes first, as greedy sampling has it.
        best = np.argsort(-logprobs, kind="stable")[:count]
        return [(int(token), float(logprobs[token])) for token in best]
