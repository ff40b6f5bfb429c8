"""Facts of a model folder of Hugging Face's or MLX's.

What cannot be told for certain is None or 0, and the text beside the figure then says that it is
not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from harness.models.cache import F16_BYTES, CacheLayers
from harness.models.facts import ModelFacts
from harness.models.folder_cache import folder_cache
from harness.models.folder_drafters import MEDUSA, drafter_of
from harness.models.folder_roles import role_of
from harness.models.safetensors import Folder
from harness.models.tensors import Tensor
from harness.models.weights import (
    ALL,
    LOOKED_UP,
    MTP_UNUSED,
    NOTHING,
    OTHER_SENSE,
    Role,
    Weight,
    chosen,
)

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_KEYS = re.compile(r"\.(k_proj|qkv_proj|query_key_value)\.weight$")
_EXPERT = re.compile(r"\.(experts|switch_mlp)\.")
_MTP = re.compile(r"(?:^|\.)mtp[._]")
"""`mtp.layers.0.…` (Qwen), `model.mtp_layers.0.…` (MiMo), `model.mtp_block.0.…` (ERNIE)."""
_MTP_LAYER = re.compile(r"(?:^|\.)(?:layers|mtp_layers|mtp_block)\.(\d+)\.")
_OTHER_SENSE = re.compile(r"(?:^|\.)(vision|visual|audio|multi_modal|mm_)")
_LAYER_CONFIGS = ("model", "transformer_layer_config")
"""Where a config.json of type 'eagle' or 'speculators' keeps its layer's sizes."""
MTP_KEYS = ("mtp_num_hidden_layers", "num_nextn_predict_layers", "num_mtp_modules")


class FolderModel:
    """One configuration beside the tensors; of a model with other senses, its text part."""

    def __init__(self, folder: Folder) -> None:
        self._config = _flat(folder.config)
        self._folder = folder
        self._tensors = folder.tensors
        self._names = {tensor.name for tensor in folder.tensors}
        self._layers = self._integer("num_hidden_layers") or 0
        self._experts = self._first("num_experts", "n_routed_experts", "num_local_experts")
        self._experts_used = self._first(
            "num_experts_per_tok", "num_experts_per_token", "top_k_experts"
        )
        self._drafter = drafter_of(self._config, self._tensors)
        self._owns_output = any("lm_head" in tensor.name for tensor in self._tensors)

    def facts(self) -> ModelFacts:
        main = [tensor for tensor in self._tensors if not self._is_mtp(tensor)]
        mtp = [tensor for tensor in self._tensors if self._is_mtp(tensor)]
        read = [tensor for tensor in main if self._is_read(tensor)]
        expert_bytes = sum(tensor.bytes for tensor in read if _EXPERT.search(tensor.name))
        mtp_layers = _layers(mtp)
        output = self._output(main)
        kind = str(self._folder.config.get("model_type") or "unknown")
        return ModelFacts(
            format=self._folder.format,
            architecture=kind if self._drafter is None else self._drafter.architecture,
            name=None,
            quantization=self._quantization(),
            parameters=self._parameters(),
            tensor_bytes=sum(tensor.bytes for tensor in self._tensors),
            active_bytes=self._active(read),
            layers=self._layers,
            width=self._integer("hidden_size"),
            vocabulary=self._integer("vocab_size") or 0,
            training_context=self._integer("max_position_embeddings"),
            kv_bytes_per_token=self._kv_bytes(main),
            experts=self._experts,
            experts_used=self._experts_used if self._experts else None,
            expert_bytes=expert_bytes if self._experts else 0,
            mtp_layers=mtp_layers,
            mtp_declared=self._first(*MTP_KEYS) or 0,
            mtp_only=mtp_layers > 0 and not any(_LAYER.search(tensor.name) for tensor in main),
            mtp_active_bytes=self._mtp_active(mtp, mtp_layers, output),
            output_bytes=output,
            chat_template=self._folder.chat_template,
            drafter=None if self._drafter is None else self._drafter.facts,
        )

    # ---- weights ---------------------------------------------------------------------------

    def _is_mtp(self, tensor: Tensor) -> bool:
        """Under a name of its own, or (DeepSeek) as a layer after the last."""
        if self._drafter is not None or _OTHER_SENSE.search(tensor.name):
            return False
        layer = _LAYER.search(tensor.name)
        beyond = layer is not None and 0 < self._layers <= int(layer.group(1))
        return beyond or _MTP.search(tensor.name) is not None

    def _is_read(self, tensor: Tensor) -> bool:
        """Read for each token of text; a tied embedding is, since it is the output matrix too."""
        if _OTHER_SENSE.search(tensor.name):
            return False
        # A drafter that brings an embedding and no output matrix works with its target's.
        tied = not self._owns_output and self._drafter is None
        return tied or "embed_tokens." not in tensor.name

    def _active(self, tensors: Iterable[Tensor]) -> int:
        experts = whole = 0
        for tensor in tensors:
            if _EXPERT.search(tensor.name):
                experts += tensor.bytes
            else:
                whole += tensor.bytes
        if not self._experts:
            return whole + experts
        used = min(self._experts_used or self._experts, self._experts)
        return whole + experts * used // self._experts

    def _output(self, main: Sequence[Tensor]) -> int:
        """The output matrix; where there is none, the embedding's table is it."""
        if self._drafter is not None and not self._owns_output:
            return 0
        name = "lm_head" if self._owns_output else "embed_tokens."
        return sum(
            tensor.bytes
            for tensor in main
            if name in tensor.name and not _OTHER_SENSE.search(tensor.name)
        )

    def _mtp_active(self, mtp: Sequence[Tensor], layers: int, output: int) -> int:
        """One MTP layer and the output matrix: its own, or the main model's."""
        if not layers:
            return 0
        own = any("shared_head.head." in tensor.name for tensor in mtp)
        read = [tensor for tensor in mtp if "embed_tokens." not in tensor.name]
        return self._active(read) // layers + (0 if own else output)

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
        return sum(self._elements(tensor) for tensor in self._tensors)

    def _elements(self, tensor: Tensor) -> int:
        """Of a weight that MLX has packed, as many as its scales stand for."""
        own = self._config.get("quantization")
        group = own.get("group_size") if isinstance(own, dict) else None
        stem, _, kind = tensor.name.rpartition(".")
        if isinstance(group, int) and f"{stem}.scales" in self._names:
            return tensor.elements * group if kind == "scales" else 0
        return tensor.elements

    # ---- parts -----------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether its tensors have the usual names; else all of them count as read."""
        if self._drafter is not None:
            return True
        return any("embed_tokens." in n for n in self._names) and any(
            _LAYER.search(n) for n in self._names
        )

    def cache(self) -> tuple[CacheLayers, ...] | None:
        """What the layers keep of the context, by kind; None where it is not known."""
        if self._drafter is not None and self._drafter.architecture == MEDUSA:
            return ()  # its heads read a state and keep nothing
        return folder_cache(self._config, self._layers)

    def weights(self) -> tuple[Weight, ...]:
        """Each tensor's role, and what of it a token reads: `facts().active_bytes` in all."""
        return tuple(self._weight(tensor) for tensor in self._tensors)

    def _weight(self, tensor: Tensor) -> Weight:
        role, share, unread = role_of(tensor.name), ALL, None
        used = min(self._experts_used or 0, self._experts or 0)
        if self._is_mtp(tensor):
            role, share, unread = Role.MTP, NOTHING, MTP_UNUSED
        elif _OTHER_SENSE.search(tensor.name):
            role, share, unread = Role.OTHER, NOTHING, OTHER_SENSE
        elif not self._is_read(tensor):
            share, unread = NOTHING, LOOKED_UP
        elif self._experts and _EXPERT.search(tensor.name):
            role = Role.ROUTED
            if 0 < used < self._experts:
                share, unread = Fraction(used, self._experts), chosen(used, self._experts)
        return Weight(role, tensor.type, self._elements(tensor), tensor.bytes, share, unread)

    # ---- KV cache --------------------------------------------------------------------------

    def _kv_bytes(self, tensors: Sequence[Tensor]) -> int | None:
        """Σ over layers KV heads x head length x 2 (keys and values) x 2 bytes.

        None where some layer looks at a window only, or keeps something else than keys and values.
        """
        config = self._config
        layers = {
            int(found.group(1))
            for tensor in tensors
            if _KEYS.search(tensor.name)
            and not _OTHER_SENSE.search(tensor.name)
            and (found := _LAYER.search(tensor.name))
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


def _flat(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """One level: what is said of the text goes before, what is said of a layer after the rest."""
    text = config.get("text_config")
    flat = {**config, **text} if isinstance(text, dict) else config
    for key in _LAYER_CONFIGS:
        if isinstance(layer := config.get(key), dict):
            flat = {**layer, **flat}
    return flat


def _layers(mtp: Sequence[Tensor]) -> int:
    """MTP layers that are there: each a number, or one where the names have none."""
    found = {layer.group(1) for tensor in mtp if (layer := _MTP_LAYER.search(tensor.name))}
    return len(found) or min(len(mtp), 1)
