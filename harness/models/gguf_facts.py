"""From a GGUF header to the facts that ceilings and plans need."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from harness.models.errors import ModelFileError
from harness.models.facts import DrafterFacts, ModelFacts
from harness.models.gguf import Header, Tensor

EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"
LOOKED_UP = frozenset({"per_layer_token_embd.weight", "position_embd.weight", "token_types.weight"})
"""Tables of which a token reads one row."""

SLIDING_PERIOD = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "olmo2": 4,
}
"""Architectures whose file does not say which layers slide: the last layer of each period looks
at the whole context, the others at a window (llama.cpp, `set_swa_pattern` in src/models)."""

F16_BYTES = 2

DRAFTERS = frozenset({"eagle3", "dflash"})
MTP_SIDECARS = frozenset({"gemma4-assistant"})
"""Architectures of MTP heads in a file of their own that has a first layer like any other model."""

DEFAULT_BLOCK = 16
"""Of a DFlash file that does not say its block size (llama.cpp, common/speculative.cpp)."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


def gguf_facts(header: Header, name: str) -> ModelFacts:
    """The facts of a GGUF model; `name` is what messages call the file.

    Raises:
        ModelFileError: the file holds no language model, or contradicts itself.
    """
    return _Facts(header, name).facts()


class _Facts:
    """One header under its architecture's keys."""

    def __init__(self, header: Header, name: str) -> None:
        self._header = header
        self._name = name
        kind = header.values.get("general.type", "model")
        if kind != "model":
            raise ModelFileError(
                f"{name} holds no language model: its general.type is {kind!r:.40}"
            )
        architecture = header.values.get("general.architecture")
        if not isinstance(architecture, str):
            raise ModelFileError(f"{name} does not say its general.architecture")
        if not header.tensors:
            raise ModelFileError(f"{name} holds no tensors: a vocabulary without a model?")
        self._architecture = architecture
        self._blocks = self._integer("block_count", 0)
        self._nextn = min(self._integer("nextn_predict_layers", 0), self._blocks)
        self._experts = self._integer("expert_count", 0)
        self._experts_used = min(self._integer("expert_used_count", 0), self._experts)

    def facts(self) -> ModelFacts:
        tensors = self._header.tensors
        values = self._header.values
        names = {tensor.name for tensor in tensors}
        main = [tensor for tensor in tensors if not self._is_mtp(tensor)]
        read = [tensor for tensor in main if self._is_read(tensor, tied=OUTPUT not in names)]
        mtp_layers = sum(
            self._is_mtp(tensor) and tensor.name.endswith(".nextn.eh_proj.weight")
            for tensor in tensors
        )
        name = values.get("general.name")
        return ModelFacts(
            format="GGUF",
            architecture=self._architecture,
            name=name if isinstance(name, str) else None,
            quantization=self._quantization(),
            parameters=sum(tensor.elements for tensor in tensors),
            tensor_bytes=sum(tensor.bytes for tensor in tensors),
            active_bytes=self._active(read),
            layers=self._blocks - self._nextn,
            width=self._integer("embedding_length", 0) or None,
            vocabulary=self._vocabulary(),
            training_context=self._integer("context_length", 0) or None,
            kv_bytes_per_token=self._kv_bytes(main),
            experts=self._experts or None,
            experts_used=self._experts_used or None,
            expert_bytes=sum(tensor.bytes for tensor in read if self._is_expert(tensor)),
            mtp_layers=mtp_layers,
            mtp_declared=self._nextn,
            mtp_only=self._holds_heads_alone(names),
            mtp_active_bytes=self._mtp_active(mtp_layers),
            chat_template="tokenizer.chat_template" in values,
            drafter=self._drafter(names) if self._architecture in DRAFTERS else None,
        )

    def _holds_heads_alone(self, names: Collection[str]) -> bool:
        heads = any(".nextn." in name for name in names)
        return self._architecture in MTP_SIDECARS or (
            heads and self._nextn > 0 and "blk.0.attn_norm.weight" not in names
        )

    def _drafter(self, names: Collection[str]) -> DrafterFacts:
        named = self._header.values.get(f"{self._architecture}.target_layers")
        layers = named if isinstance(named, tuple) else ()
        anchor_first = self._header.values.get(f"{self._architecture}.sample_from_anchor", True)
        return DrafterFacts(
            target_layers=tuple(int(n) for n in layers if isinstance(n, int)) or None,
            target_width=self._integer("target_hidden_size", 0) or None,
            block_size=(
                self._integer("block_size", DEFAULT_BLOCK)
                if self._architecture == "dflash"
                else None
            ),
            markov_head="markov_w1.weight" in names,
            anchor_first=anchor_first is True,
        )

    def _quantization(self) -> str | None:
        from gguf import LlamaFileType  # noqa: PLC0415

        number = self._header.values.get("general.file_type")
        if not isinstance(number, int):
            return None
        try:
            name = LlamaFileType(number & ~LlamaFileType.GUESSED).name
        except ValueError:
            return None
        return name.removeprefix("MOSTLY_").removeprefix("ALL_")

    def _vocabulary(self) -> int:
        if listed := self._header.lengths.get("tokenizer.ggml.tokens"):
            return listed
        if said := self._integer("vocab_size", 0):
            return said
        return next((t.shape[-1] for t in self._header.tensors if t.name == EMBEDDING), 0)

    # ---- weights ---------------------------------------------------------------------------

    def _is_mtp(self, tensor: Tensor) -> bool:
        """Loaded only when MTP is on: the last blocks, and what belongs to no single one."""
        block = _block(tensor)
        is_last = block is not None and self._blocks - self._nextn <= block < self._blocks
        return self._nextn > 0 and (is_last or tensor.name.startswith("nextn."))

    def _is_expert(self, tensor: Tensor) -> bool:
        """One of the matrices of all routed experts (not the shared ones, `_shexp`)."""
        stacked = self._experts > 0 and tensor.shape[-1:] == (self._experts,)
        return stacked and "_exps." in tensor.name

    def _is_read(self, tensor: Tensor, *, tied: bool) -> bool:
        """Read whole for each token; a tied embedding is, since it is the output matrix too."""
        return tensor.name not in LOOKED_UP and (tied or tensor.name != EMBEDDING)

    def _active(self, tensors: Iterable[Tensor]) -> int:
        experts = whole = 0
        for tensor in tensors:
            if self._is_expert(tensor):
                experts += tensor.bytes
            else:
                whole += tensor.bytes
        used = self._experts_used or self._experts  # a file that does not say: all of them
        return whole + (experts * used // self._experts if self._experts else 0)

    def _mtp_active(self, mtp_layers: int) -> int:
        """One MTP layer and the output matrix: its own, or the main model's."""
        if not mtp_layers:
            return 0
        heads = [t for t in self._header.tensors if self._is_mtp(t)]
        layers = [t for t in heads if not t.name.endswith("nextn.embed_tokens.weight")]
        own = any(t.name.endswith("nextn.shared_head_head.weight") for t in heads)
        sizes = {tensor.name: tensor.bytes for tensor in self._header.tensors}
        shared = 0 if own else sizes.get(OUTPUT, sizes.get(EMBEDDING, 0))
        return self._active(layers) // mtp_layers + shared

    # ---- KV cache --------------------------------------------------------------------------

    def _kv_bytes(self, tensors: Iterable[Tensor]) -> int:
        """Σ over layers KV heads x (key length + value length) x 2 bytes.

        Multi-head latent attention in its absorbed form keeps one row per token from which both
        are taken (llama.cpp gives it no V cache): key length alone.
        """
        heads = self._integer("attention.head_count", 0)
        default = self._integer("embedding_length", 0) // heads if heads else 0
        key = self._integer("attention.key_length", default)
        latent = self._integer("attention.key_length_mla", 0) > 0
        value = 0 if latent else self._integer("attention.value_length", default)
        layers = self._whole_context_layers(tensors)
        return (
            sum(
                self._integer("attention.head_count_kv", heads, layer=layer) * (key + value)
                for layer in layers
            )
            * F16_BYTES
        )

    def _whole_context_layers(self, tensors: Iterable[Tensor]) -> list[int]:
        """Layers that make keys and values and look at all of them.

        Told by their tensors: recurrent layers have none for keys, whatever key a given
        architecture names them by.
        """
        parts: dict[int, set[str]] = {}
        for tensor in tensors:
            if (found := _BLOCK.fullmatch(tensor.name)) is not None:
                parts.setdefault(int(found.group(1)), set()).add(found.group(2))
        shared = self._integer("attention.shared_kv_layers", 0)
        own = self._blocks - self._nextn - shared
        return [
            layer
            for layer, names in sorted(parts.items())
            if layer < own and _keeps_keys(names) and not self._slides(layer)
        ]

    def _slides(self, layer: int) -> bool:
        """Whether the layer looks at a window only, so that its cache stops growing."""
        if not self._integer("attention.sliding_window", 0):
            return False
        pattern = self._header.values.get(f"{self._architecture}.attention.sliding_window_pattern")
        if isinstance(pattern, tuple):
            return bool(pattern and pattern[layer % len(pattern)])
        period = pattern if isinstance(pattern, int) else SLIDING_PERIOD.get(self._architecture, 1)
        return period == 0 or layer % period < period - 1

    def _integer(self, key: str, default: int, *, layer: int = 0) -> int:
        """A count of this architecture; from an array with one for each layer, the layer's."""
        value = self._header.values.get(f"{self._architecture}.{key}", default)
        if isinstance(value, tuple):
            value = value[layer] if layer < len(value) else default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or value < 0:
            raise ModelFileError(
                f"{self._name} is damaged: {self._architecture}.{key} is {value!r:.40}, not a count"
            )
        return value


def _block(tensor: Tensor) -> int | None:
    found = _BLOCK.fullmatch(tensor.name)
    return None if found is None else int(found.group(1))


def _keeps_keys(names: set[str]) -> bool:
    if names & {"attn_k.weight", "attn_kv_a_mqa.weight", "attn_kv.weight", "attn_k_b.weight"}:
        return True
    # A linear-attention layer may fuse its projections under the same name.
    return "attn_qkv.weight" in names and not any(name.startswith("ssm_") for name in names)
