"""Facts of a model folder: `config.json` and the headers of its safetensors files.

The folders of Hugging Face and of MLX. What cannot be told for certain is None or 0, and the text
beside the figure then says that it is not known.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models.errors import ModelFileError, reading, shown
from harness.models.facts import ModelFacts

CONFIG = "config.json"
SUFFIX = ".safetensors"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library too."""

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_KEYS = re.compile(r"\.(k_proj|qkv_proj|query_key_value)\.weight$")
_EXPERT = re.compile(r"\.(experts|switch_mlp)\.")
_MTP = re.compile(r"(?:^|\.)mtp\.")
_OTHER_SENSE = re.compile(r"(?:^|\.)(vision|visual|audio)")
F16_BYTES = 2


def is_model_folder(path: Path) -> bool:
    return (path / CONFIG).is_file()


def folder_files(path: Path) -> list[Path]:
    """The files that make up the model, by name: weights, configuration and tokenizer."""
    return sorted(
        file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
    )


@dataclass(frozen=True)
class _Tensor:
    name: str
    type: str
    elements: int
    bytes: int


def folder_facts(path: Path) -> ModelFacts:
    """The facts of a model folder.

    Raises:
        ModelFileError: a file is missing or damaged, or there are no weights.
    """
    name = shown(path)
    with reading(path):
        files = [file for file in folder_files(path) if file.suffix == SUFFIX]
        try:
            config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            config = None
        template = (path / "chat_template.jinja").is_file() or _has_template(path)
    if not isinstance(config, dict):
        raise ModelFileError(f"{name}/{CONFIG} is no JSON object")
    if not files:
        raise ModelFileError(f"{name} holds no {SUFFIX} files: a configuration without weights")
    tensors = [tensor for file in files for tensor in _tensors(file)]
    return _Facts(config, tensors).facts(chat_template=template)


def _has_template(path: Path) -> bool:
    try:
        settings = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))


def _tensors(path: Path) -> list[_Tensor]:
    """The header's list: eight bytes of its length, then JSON.

    Raises:
        ModelFileError: the file is damaged or cut off.
    """
    with reading(path), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ModelFileError(f"{shown(path)} is no safetensors file, or is cut off")
        header = file.read(length)
    try:
        found = [
            _Tensor(
                str(name),
                str(entry["dtype"]),
                math.prod(int(length) for length in entry["shape"]),
                int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
            )
            for name, entry in json.loads(header).items()
            if name != "__metadata__"
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ModelFileError(f"{shown(path)} is damaged: its header cannot be read") from None
    if any(tensor.bytes < 0 or tensor.elements < 0 for tensor in found):
        raise ModelFileError(f"{shown(path)} is damaged: a tensor has a negative size")
    if sum(tensor.bytes for tensor in found) > size - 8 - length:
        raise ModelFileError(f"{shown(path)} is cut off: tensors go beyond its {size:,} bytes")
    return found


class _Facts:
    """One configuration beside the tensors."""

    def __init__(self, config: Mapping[str, Any], tensors: Sequence[_Tensor]) -> None:
        text = config.get("text_config")
        self._config = {**config, **text} if isinstance(text, dict) else config
        self._architecture = config.get("model_type")
        self._tensors = tensors
        self._layers = self._integer("num_hidden_layers") or 0

    def facts(self, *, chat_template: bool) -> ModelFacts:
        main = [tensor for tensor in self._tensors if not self._is_mtp(tensor)]
        experts = self._first("num_experts", "n_routed_experts", "num_local_experts")
        used = self._first("num_experts_per_tok", "num_experts_per_token", "top_k_experts")
        read = [tensor for tensor in main if self._is_read(tensor)]
        expert_bytes = sum(tensor.bytes for tensor in read if _EXPERT.search(tensor.name))
        whole = sum(tensor.bytes for tensor in read) - expert_bytes
        declared = self._first("mtp_num_hidden_layers", "num_nextn_predict_layers") or 0
        share = expert_bytes * min(used or experts, experts) // experts if experts else 0
        return ModelFacts(
            format="safetensors",
            architecture=str(self._architecture or "unknown"),
            name=None,
            quantization=self._quantization(),
            parameters=self._parameters(),
            tensor_bytes=sum(tensor.bytes for tensor in self._tensors),
            active_bytes=whole + (share if experts else expert_bytes),
            layers=self._layers,
            width=self._integer("hidden_size"),
            vocabulary=self._integer("vocab_size") or 0,
            training_context=self._integer("max_position_embeddings"),
            kv_bytes_per_token=self._kv_bytes(main),
            experts=experts,
            experts_used=used if experts else None,
            expert_bytes=expert_bytes if experts else 0,
            mtp_layers=declared if len(main) < len(self._tensors) else 0,
            mtp_declared=declared,
            chat_template=chat_template,
        )

    def _is_mtp(self, tensor: _Tensor) -> bool:
        """Under a name of its own, or (DeepSeek) as a layer after the last."""
        layer = _LAYER.search(tensor.name)
        beyond = layer is not None and 0 < self._layers <= int(layer.group(1))
        return beyond or _MTP.search(tensor.name) is not None

    def _is_read(self, tensor: _Tensor) -> bool:
        """Read for each token of text; a tied embedding is, since it is the output matrix too."""
        if _OTHER_SENSE.search(tensor.name):
            return False
        tied = not any("lm_head." in other.name for other in self._tensors)
        return tied or "embed_tokens." not in tensor.name

    def _quantization(self) -> str | None:
        """'4-bit' of MLX's own, 'fp8' and the like of Hugging Face's, else the weights' type."""
        own = self._config.get("quantization")
        if isinstance(own, dict) and isinstance(own.get("bits"), int):
            return f"{own['bits']}-bit"
        other = self._config.get("quantization_config")
        if isinstance(other, dict):
            return str(other.get("quant_method", "unknown"))
        sizes: dict[str, int] = {}
        for tensor in self._tensors:
            sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.bytes
        return max(sizes, key=lambda kind: sizes[kind], default=None)

    def _parameters(self) -> int:
        """Of a weight that MLX has packed, as many as its scales stand for."""
        own = self._config.get("quantization")
        group = own.get("group_size") if isinstance(own, dict) else None
        names = {tensor.name for tensor in self._tensors}
        total = 0
        for tensor in self._tensors:
            stem, _, kind = tensor.name.rpartition(".")
            if isinstance(group, int) and f"{stem}.scales" in names:
                total += tensor.elements * group if kind == "scales" else 0
            else:
                total += tensor.elements
        return total

    def _kv_bytes(self, tensors: Sequence[_Tensor]) -> int | None:
        """Σ over layers KV heads x head length x 2 (keys and values) x 2 bytes.

        None where some layer looks at a window only, or keeps something else than keys and values.
        """
        config = self._config
        layers = {
            int(found.group(1))
            for tensor in tensors
            if _KEYS.search(tensor.name) and (found := _LAYER.search(tensor.name))
        }
        heads = self._integer("num_attention_heads")
        kv_heads = self._integer("num_key_value_heads") or heads
        width = self._integer("hidden_size")
        head = self._integer("head_dim") or (width // heads if width and heads else None)
        kinds = config.get("layer_types")
        slides = (
            set(kinds) - {"full_attention", "linear_attention"}
            if isinstance(kinds, list)
            else config.get("sliding_window") and config.get("use_sliding_window", True)
        )
        if not (layers and kv_heads and head) or slides or self._first("kv_lora_rank"):
            return None
        return len(layers) * kv_heads * head * 2 * F16_BYTES

    def _first(self, *keys: str) -> int | None:
        return next((value for key in keys if (value := self._integer(key))), None)

    def _integer(self, key: str) -> int | None:
        value = self._config.get(key)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return value if is_count else None
