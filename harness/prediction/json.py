"""A prediction as JSON, for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum

from harness.prediction.outlook import Prediction


def render(prediction: Prediction) -> str:
    """All fields by their names: ranges as low, middle and high, sizes in bytes, rates in tok/s."""
    return json.dumps(asdict(prediction), indent=2, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.name.lower()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
