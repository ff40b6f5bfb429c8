"""From a GGUF header to the facts that ceilings and plans need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fractions import Fraction

from harness.models.architectures import is_known
from harness.models.cache import CacheLayers, growth_at_f16
from harness.models.errors import ModelFileError
from harness.models.facts import DrafterFacts, ModelFacts
from harness.models.gguf import Header, Tensor
from harness.models.gguf_cache import (
    gguf_cache,
    is_recurrent,
    keeps_keys,
    kv_heads,
    layer_of,
    parts_of_layers,
)
from harness.models.gguf_keys import GgufKeys
from harness.models.gguf_roles import role_of
from harness.models.weights import ALL, LOOKED_UP, MTP_UNUSED, NOTHING, Role, Weight, chosen

EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"
TABLES = frozenset({"per_layer_token_embd.weight", "position_embd.weight", "token_types.weight"})
"""Tables of which a token reads one row."""

DRAFTERS = frozenset({"eagle3", "dflash"})
MTP_SIDECARS = frozenset({"gemma4-assistant"})
"""Architectures of MTP heads in a file of their own that has a first layer like any other model."""

DEFAULT_BLOCK = 16
"""Of a DFlash file that does not say its block size (llama.cpp, common/speculative.cpp)."""


class GgufModel:
    """One header under its architecture's keys; `name` is what messages call the file.

    Raises:
        ModelFileError: the file holds no language model, or contradicts itself.
    """

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
        self._keys = GgufKeys(header, architecture, name)
        self._parts = parts_of_layers(header.tensors)
        self.is_known = is_known(architecture)
        """Whether it counts by the usual rules; of any other architecture, all tensors count."""
        self._blocks = self._keys.count("block_count", 0)
        self._nextn = min(self._keys.count("nextn_predict_layers", 0), self._blocks)
        self._experts = self._keys.count("expert_count", 0)
        self._experts_used = min(self._keys.largest("expert_used_count"), self._experts)

    def facts(self) -> ModelFacts:
        tensors = self._header.tensors
        values = self._header.values
        names = {tensor.name for tensor in tensors}
        main = [tensor for tensor in tensors if not self._is_mtp(tensor)]
        read = [tensor for tensor in main if self._is_read(tensor, tied=OUTPUT not in names)]
        if not self.is_known:
            read = list(tensors)
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
            width=self._keys.count("embedding_length", 0) or None,
            vocabulary=self._vocabulary(),
            training_context=self._keys.count("context_length", 0) or None,
            kv_bytes_per_token=growth_at_f16(self.cache()),
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
            target_width=self._keys.count("target_hidden_size", 0) or None,
            block_size=(
                self._keys.count("block_size", DEFAULT_BLOCK)
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
        if said := self._keys.count("vocab_size", 0):
            return said
        return next((t.shape[-1] for t in self._header.tensors if t.name == EMBEDDING), 0)

    # ---- weights ---------------------------------------------------------------------------

    def _is_mtp(self, tensor: Tensor) -> bool:
        """Loaded only when MTP is on: the last blocks, and what belongs to no single one."""
        block = layer_of(tensor)
        is_last = block is not None and self._blocks - self._nextn <= block < self._blocks
        return self._nextn > 0 and (is_last or tensor.name.startswith("nextn."))

    def _is_expert(self, tensor: Tensor) -> bool:
        """One of the matrices of all routed experts (not the shared ones, `_shexp`)."""
        stacked = self._experts > 0 and tensor.shape[-1:] == (self._experts,)
        return self.is_known and stacked and "_exps." in tensor.name

    def _is_read(self, tensor: Tensor, *, tied: bool) -> bool:
        """Read whole for each token; a tied embedding is, since it is the output matrix too."""
        return tensor.name not in TABLES and (tied or tensor.name != EMBEDDING)

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

    # ---- parts -----------------------------------------------------------------------------

    def cache(self) -> tuple[CacheLayers, ...]:
        """What the layers keep of the context, by kind."""
        return gguf_cache(self._keys, self._parts, self._blocks, self._nextn)

    def weights(self) -> tuple[Weight, ...]:
        """Each tensor's role, and what of it a token reads: `facts().active_bytes` in all."""
        tied = all(tensor.name != OUTPUT for tensor in self._header.tensors)
        return tuple(self._weight(tensor, tied=tied) for tensor in self._header.tensors)

    def _weight(self, tensor: Tensor, *, tied: bool) -> Weight:
        role = self._role(tensor)
        share, unread = ALL, None
        if not self.is_known:
            pass
        elif self._is_mtp(tensor):
            share, unread = NOTHING, MTP_UNUSED
        elif not self._is_read(tensor, tied=tied):
            share, unread = NOTHING, LOOKED_UP
        elif self._is_expert(tensor) and 0 < self._experts_used < self._experts:
            share = Fraction(self._experts_used, self._experts)
            unread = chosen(self._experts_used, self._experts)
        return Weight(role, tensor.type.name, tensor.elements, tensor.bytes, share, unread)

    def _role(self, tensor: Tensor) -> Role:
        if self._is_mtp(tensor):
            return Role.MTP
        if self._is_expert(tensor):
            return Role.ROUTED
        layer = layer_of(tensor)
        names = self._parts.get(-1 if layer is None else layer, set())
        attends = keeps_keys(names) and kv_heads(self._keys, layer or 0) > 0
        return role_of(tensor.name, linear=is_recurrent(names) and not attends)
