"""GGUF models drawn by hypothesis, tensor by tensor, beside a count kept while they are drawn.

Nothing here looks at names to count: each tensor is entered with what it is for and what of it a
token reads, each layer with what it keeps. That makes it another count than the package's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from tests.harness.models.gguf_files import Shape, write

WIDTH = 64
VOCABULARY = 96
ARCHITECTURE = "qwen35moe"
"""One that llama.cpp knows; the layers below are told by their tensors and keys alone."""


@dataclass
class Drawn:
    """A model and what it should be found to be. Sizes in bytes."""

    tensors: dict[str, Shape] = field(default_factory=dict)
    integers: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, list[int] | list[bool]] = field(default_factory=dict)
    read: Fraction = Fraction(0)
    roles: dict[str, int] = field(default_factory=dict)
    full: int = 0
    """Bytes at F16 of one token in all layers that see the whole context."""
    latent: int = 0
    sliding: int = 0
    mtp_cache: int = 0
    state: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    """Layers by kind of cache."""

    def add(self, name: str, shape: Shape, role: str, share: Fraction = Fraction(1)) -> None:
        """Norms are F32, matrices Q8_0: 34 bytes for 32 numbers."""
        numbers = 1
        for length in shape:
            numbers *= length
        stored = numbers * 4 if len(shape) == 1 else numbers // 32 * 34
        assert name not in self.tensors
        self.tensors[name] = shape
        self.read += stored * share
        self.roles[role] = self.roles.get(role, 0) + stored

    def keeps(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def write(self, folder: Path, parts: int = 1) -> Path:
        """All tensors in one file, or dealt out to several; the last part's path."""
        common = {"embedding_length": WIDTH, "vocab_size": VOCABULARY} | self.integers
        if parts == 1:
            return write(
                folder / "m.gguf",
                self.tensors,
                architecture=ARCHITECTURE,
                integers=common,
                arrays=self.arrays,
            )
        names = list(self.tensors)
        for number in range(parts):
            path = write(
                folder / f"m-{number + 1:05}-of-{parts:05}.gguf",
                {name: self.tensors[name] for name in names[number::parts]},
                architecture=ARCHITECTURE,
                integers=common | {"split.count": parts, "split.no": number},
                arrays=self.arrays,
            )
        return path


@st.composite
def models(draw: st.DrawFn) -> Drawn:
    """Layers of every kind, in any order."""
    model = Drawn()
    layers = draw(st.integers(1, 5), label="layers")
    mtp = draw(st.integers(0, 2), label="mtp")
    latent = draw(st.booleans(), label="latent")
    key, value = draw(st.sampled_from([(16, 16), (24, 8), (32, 64)]), label="lengths")
    short = draw(st.sampled_from([None, (8, 4)]), label="lengths of sliding layers")
    window = draw(st.sampled_from([0, 32, 512]), label="window")
    shared = draw(st.integers(0, layers - 1), label="shared")
    experts = draw(st.sampled_from([0, 4, 8]), label="experts")
    used = draw(st.integers(1, max(1, experts)), label="used")
    slides = [draw(st.booleans(), label="slides") for _ in range(layers)] + [False] * mtp
    heads = [draw(st.integers(0, 3), label="kv heads") for _ in range(layers)] + [2] * mtp
    if latent:
        heads = [min(1, count) for count in heads]
    model.integers |= {
        "block_count": layers + mtp,
        "attention.head_count": 4,
        "attention.key_length": key,
        "attention.value_length": value,
        "attention.shared_kv_layers": shared,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 32,
        "ssm.state_size": 16,
        "ssm.group_count": 2,
    }
    if latent:
        model.integers |= {"attention.key_length_mla": 48, "attention.value_length_mla": 32}
    if short is not None:
        model.integers |= {
            "attention.key_length_swa": short[0],
            "attention.value_length_swa": short[1],
        }
    if mtp:
        model.integers["nextn_predict_layers"] = mtp
    if experts:
        model.integers |= {"expert_count": experts, "expert_used_count": used}
    if window:
        model.integers["attention.sliding_window"] = window
    model.arrays["attention.head_count_kv"] = heads
    model.arrays["attention.sliding_window_pattern"] = slides

    tied = draw(st.booleans(), label="tied")
    nothing, whole = Fraction(0), Fraction(1)
    model.add("token_embd.weight", (VOCABULARY, WIDTH), "embedding", whole if tied else nothing)
    if not tied:
        model.add("output.weight", (VOCABULARY, WIDTH), "output")
    model.add("output_norm.weight", (WIDTH,), "norms")

    for layer in range(layers + mtp):
        drafts = layer >= layers
        recurrent = not drafts and draw(st.booleans(), label="recurrent")
        share = nothing if drafts else whole

        def add(name: str, shape: Shape, role: str, part: Fraction = whole) -> None:
            model.add(
                f"blk.{layer}.{name}",  # noqa: B023 - called within this turn only
                shape,
                "MTP" if drafts else role,  # noqa: B023
                share * part,  # noqa: B023
            )

        add("attn_norm.weight", (WIDTH,), "norms")
        if recurrent:
            add("attn_qkv.weight", (128, WIDTH), "recurrent")
            add("attn_gate.weight", (32, WIDTH), "recurrent")
            add("ssm_a", (4,), "recurrent")
            add("ssm_norm.weight", (16,), "recurrent")
            add("ssm_out.weight", (WIDTH, 32), "recurrent")
            # Three tokens of the convolution's input and a matrix for each head, in F32.
            model.keeps("recurrent state")
            model.state += ((4 - 1) * (32 + 2 * 2 * 16) + 16 * 32) * 4
        else:
            add("attn_q.weight", (64, WIDTH), "attention")
            add("attn_k.weight", (32, WIDTH), "attention")
            add("attn_output.weight", (WIDTH, 64), "attention")
            add("attn_q_norm.weight", (16,), "norms")
            _keep(
                model,
                layer,
                drafts,
                layers - shared <= layer,
                slides[layer] and window > 0,
                heads[layer],
                (key, value),
                short,
                latent,
            )
        if experts and draw(st.booleans(), label="mixture"):
            one = Fraction(used, experts)
            add("ffn_gate_inp.weight", (experts, WIDTH), "router")
            add("ffn_up_exps.weight", (experts, 128, WIDTH), "routed experts", one)
            add("ffn_down_exps.weight", (experts, WIDTH, 128), "routed experts", one)
            if draw(st.booleans(), label="shared expert"):
                add("ffn_up_shexp.weight", (128, WIDTH), "shared experts")
                add("ffn_gate_inp_shexp.weight", (WIDTH,), "router")
        else:
            add("ffn_up.weight", (128, WIDTH), "feed-forward")
            add("ffn_down.weight", (WIDTH, 128), "feed-forward")
        if drafts:
            add("nextn.eh_proj.weight", (WIDTH, 2 * WIDTH), "MTP")
    return model


def _keep(
    model: Drawn,
    layer: int,
    drafts: bool,
    shares: bool,
    slides: bool,
    heads: int,
    lengths: tuple[int, int],
    short: tuple[int, int] | None,
    latent: bool,
) -> None:
    """What an attention layer keeps of a token, at two bytes a number."""
    if shares and not drafts:
        model.keeps("shares another layer's")
        return
    if heads == 0:
        return
    key, value = short if short is not None and slides else lengths
    stored = 2 * heads * (key if latent else key + value)
    if drafts:
        model.keeps("MTP layer")
        model.mtp_cache += stored
    elif slides:
        model.keeps("sliding window")
        model.sliding += stored
    elif latent:
        model.keeps("latent attention (MLA)")
        model.latent += stored
    else:
        model.keeps("full attention")
        model.full += stored
