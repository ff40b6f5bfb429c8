"""Model folders without data: a config.json and safetensors headers."""

from __future__ import annotations

import json
import math
from pathlib import Path

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4}
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def write(folder: Path, config: object, *parts: Tensors) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for number, tensors in enumerate(parts):
        at = 0
        header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
        for name, (kind, shape) in tensors.items():
            end = at + SIZES[kind] * math.prod(shape)
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
            at = end
        text = json.dumps(header).encode()
        data = len(text).to_bytes(8, "little") + text + bytes(at)
        (folder / f"model-{number}.safetensors").write_bytes(data)
    return folder
