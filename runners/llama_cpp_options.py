"""llama-server's option names, mapped to the fields of the server inside xllamacpp.

The names are llama-server's own, long or short, since those are what people know; the wheel takes
no command line, only fields of its `CommonParams`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import Speculation
from runners.llama_cpp_build import describe


@dataclass(frozen=True)
class EnumName:
    """A member of one of xllamacpp's enums, by name."""

    enum: str
    member: str


FieldValue = bool | int | float | str | EnumName | tuple[float, ...] | tuple[str | EnumName, ...]


@dataclass(frozen=True)
class Field:
    """One assignment to `CommonParams`: a dotted path such as 'speculative.draft.n_max'."""

    path: str
    value: FieldValue


# ---- how the text of an option becomes the value of a field ------------------------------------


def _integer(text: str) -> int:
    return int(text)


def _number(text: str) -> float:
    return float(text)


def switch(text: str) -> bool:
    words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError("expected on or off")
    return words[text.lower()]


def inverse(text: str) -> bool:
    return not switch(text)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.replace("/", ",").split(","))


def _one_of(enum: str, members: Mapping[str, str]) -> Callable[[str], EnumName]:
    def parse(text: str) -> EnumName:
        if text.lower() not in members:
            raise ValueError(f"expected one of {', '.join(members)}")
        return EnumName(enum, members[text.lower()])

    return parse


def _load_mode(member: str) -> Callable[[str], EnumName]:
    """How the file is loaded when the switch is on; off leaves it to llama.cpp."""

    def parse(text: str) -> EnumName:
        return EnumName("llama_load_mode", member if switch(text) else "LLAMA_LOAD_MODE_AUTO")

    return parse


_CACHE_TYPE = _one_of(
    "ggml_type",
    {
        name: f"GGML_TYPE_{name.upper()}"
        for name in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
    },
)
_FLASH_ATTENTION = _one_of(
    "llama_flash_attn_type",
    {
        "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
        "true": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
        "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
        "false": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
        "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
    },
)
_SPLIT_MODE = _one_of(
    "llama_split_mode",
    {name: f"LLAMA_SPLIT_MODE_{name.upper()}" for name in ("none", "layer", "row", "tensor")},
)


@dataclass(frozen=True)
class _Option:
    field: str
    parse: Callable[[str], FieldValue]


OPTIONS: dict[str, _Option] = {
    "ctx-size": _Option("n_ctx", _integer),
    "batch-size": _Option("n_batch", _integer),
    "ubatch-size": _Option("n_ubatch", _integer),
    "parallel": _Option("n_parallel", _integer),
    "threads": _Option("cpuparams.n_threads", _integer),
    "threads-batch": _Option("cpuparams_batch.n_threads", _integer),
    "poll": _Option("cpuparams.poll", _integer),
    "no-mmap": _Option("load_mode", _load_mode("LLAMA_LOAD_MODE_NONE")),
    "mlock": _Option("load_mode", _load_mode("LLAMA_LOAD_MODE_MMAP_MLOCK")),
    "n-gpu-layers": _Option("n_gpu_layers", _integer),
    "main-gpu": _Option("main_gpu", _integer),
    "split-mode": _Option("split_mode", _SPLIT_MODE),
    "tensor-split": _Option("tensor_split", _numbers),
    "flash-attn": _Option("flash_attn_type", _FLASH_ATTENTION),
    "cache-type-k": _Option("cache_type_k", _CACHE_TYPE),
    "cache-type-v": _Option("cache_type_v", _CACHE_TYPE),
    "no-kv-offload": _Option("no_kv_offload", switch),
    "no-op-offload": _Option("no_op_offload", switch),
    "no-repack": _Option("no_extra_bufts", switch),
    "kv-unified": _Option("kv_unified", switch),
    "swa-full": _Option("swa_full", switch),
    "no-cont-batching": _Option("cont_batching", inverse),
    "rope-freq-base": _Option("rope_freq_base", _number),
    "rope-freq-scale": _Option("rope_freq_scale", _number),
    "spec-draft-n-max": _Option("speculative.draft.n_max", _integer),
    "spec-draft-n-min": _Option("speculative.draft.n_min", _integer),
    "spec-draft-p-min": _Option("speculative.draft.p_min", _number),
    "spec-draft-p-split": _Option("speculative.draft.p_split", _number),
    "spec-draft-ngl": _Option("speculative.draft.n_gpu_layers", _integer),
    "spec-draft-threads": _Option("speculative.draft.cpuparams.n_threads", _integer),
    "spec-draft-type-k": _Option("speculative.draft.cache_type_k", _CACHE_TYPE),
    "spec-draft-type-v": _Option("speculative.draft.cache_type_v", _CACHE_TYPE),
    "spec-ngram-simple-size-n": _Option("speculative.ngram_simple.size_n", _integer),
    "spec-ngram-simple-size-m": _Option("speculative.ngram_simple.size_m", _integer),
    "spec-ngram-simple-min-hits": _Option("speculative.ngram_simple.min_hits", _integer),
    "spec-ngram-map-k-size-n": _Option("speculative.ngram_map_k.size_n", _integer),
    "spec-ngram-map-k-size-m": _Option("speculative.ngram_map_k.size_m", _integer),
    "spec-ngram-map-k-min-hits": _Option("speculative.ngram_map_k.min_hits", _integer),
    "spec-ngram-map-k4v-size-n": _Option("speculative.ngram_map_k4v.size_n", _integer),
    "spec-ngram-map-k4v-size-m": _Option("speculative.ngram_map_k4v.size_m", _integer),
    "spec-ngram-map-k4v-min-hits": _Option("speculative.ngram_map_k4v.min_hits", _integer),
    "spec-ngram-mod-n-match": _Option("speculative.ngram_mod.n_match", _integer),
    "spec-ngram-mod-n-max": _Option("speculative.ngram_mod.n_max", _integer),
    "spec-ngram-mod-n-min": _Option("speculative.ngram_mod.n_min", _integer),
}

_SHORT = {
    "c": "ctx-size",
    "b": "batch-size",
    "ub": "ubatch-size",
    "np": "parallel",
    "t": "threads",
    "tb": "threads-batch",
    "ngl": "n-gpu-layers",
    "gpu-layers": "n-gpu-layers",
    "mg": "main-gpu",
    "sm": "split-mode",
    "ts": "tensor-split",
    "fa": "flash-attn",
    "ctk": "cache-type-k",
    "ctv": "cache-type-v",
    "nkvo": "no-kv-offload",
}


@dataclass(frozen=True)
class _Method:
    """How llama.cpp names a method, and which option holds its draft length."""

    spec_type: str
    draft_length: str


METHODS: dict[str, _Method] = {
    "draft-model": _Method("draft-simple", "spec-draft-n-max"),
    "mtp": _Method("draft-mtp", "spec-draft-n-max"),
    "ngram-simple": _Method("ngram-simple", "spec-ngram-simple-size-m"),
    "ngram-map-k": _Method("ngram-map-k", "spec-ngram-map-k-size-m"),
    "ngram-map-k4v": _Method("ngram-map-k4v", "spec-ngram-map-k4v-size-m"),
    "ngram-mod": _Method("ngram-mod", "spec-ngram-mod-n-max"),
}
_DRAFT_LENGTHS = {method.draft_length for method in METHODS.values()}
WITH_DRAFT_FILE = ("draft-model", "mtp")


def canonical(option: str) -> str:
    """llama-server's long name of an option, without dashes in front."""
    name = option.strip().lstrip("-").replace("_", "-")
    return _SHORT.get(name, name)


def applies(option: str, method: str) -> bool:
    """Whether launches of the method look at the option."""
    name = canonical(option)
    # What is not known here applies, so that it reaches the check that refuses it.
    if not name.startswith("spec-") or name not in OPTIONS:
        return True
    if name.startswith("spec-draft-"):
        return method in WITH_DRAFT_FILE
    # '…-size-n', not '…-k4v-size-n': one method's name begins with another's.
    known = [other for other in METHODS if name.startswith(f"spec-{other}-")]
    return method == max(known, key=len, default=None)


OURS = {"model", "hostnames", "port", "hf_token", "ssl_file_key", "ssl_file_cert"}
"""Fields that the launch itself sets, or that would carry a secret into the run's files."""


@dataclass(frozen=True)
class BuildField:
    """A field of the installed build's `CommonParams`, as the build itself tells it."""

    path: str
    kind: str
    """'bool', 'int', 'float', 'str', or the name of an enum."""

    def assign(self, option: str, value: OptionValue) -> Field:
        parsers: dict[str, Callable[[str], FieldValue]] = {
            "bool": switch,
            "int": _integer,
            "float": _number,
            "str": str,
        }
        try:
            if self.kind in parsers:
                return Field(self.path, parsers[self.kind](str(value)))
        except ValueError as error:
            raise UsageError(f"llama.cpp option {option} cannot be {value!r}: {error}") from None
        return Field(self.path, EnumName(self.kind, str(value)))


def fields_of_build() -> Mapping[str, BuildField]:
    """Every plain field of the installed xllamacpp, by its dotted path; empty where there is none.

    For options that llama-server's names above leave out: `n_keep`, `speculative.draft.n_min`, …
    """
    return {
        path: BuildField(path, kind)
        for path, kind in describe().fields.items()
        if path.partition(".")[0] not in OURS
    }


def _parse(option: str, value: OptionValue) -> Field:
    name = canonical(option)
    if name in _DRAFT_LENGTHS:
        raise UsageError(f"llama.cpp's {name} is the draft length: sweep it with --draft-tokens")
    if name not in OPTIONS and (known_field := fields_of_build().get(name.replace("-", "_"))):
        return known_field.assign(name, value)
    if name not in OPTIONS:
        near = difflib.get_close_matches(name, OPTIONS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(OPTIONS)}"
        raise UsageError(f"the embedded llama.cpp server has no option {option!r}; {hint}")
    known = OPTIONS[name]
    try:
        return Field(known.field, known.parse(str(value)))
    except ValueError as error:
        raise UsageError(f"llama.cpp option {name} cannot be {value!r}: {error}") from None


LONGEST_LOOKUP = 12
"""llama.cpp's own default of the n-gram that ngram-simple looks up."""


def needed_options(method: str, draft_tokens: Sequence[int]) -> tuple[tuple[str, OptionValue], ...]:
    """Options without which a short draft length would silently draft nothing."""
    if method == "ngram-mod":  # Its default is at least 48 tokens a draft.
        return (("spec-ngram-mod-n-min", 1),)
    if method == "ngram-simple":  # It drops every draft that is shorter than its n-gram.
        return (("spec-ngram-simple-size-n", min(LONGEST_LOOKUP, *draft_tokens)),)
    return ()


def _speculation(speculation: Speculation) -> list[Field]:
    if speculation.is_plain:
        return []
    method = METHODS.get(speculation.method)
    if method is None:
        raise UsageError(
            f"llama.cpp cannot speculate by {speculation.method!r} here: "
            f"choose from {', '.join(METHODS)}"
        )
    if speculation.method == "draft-model" and speculation.draft_model is None:
        raise UsageError("method draft-model needs --draft-model, a small model of the same family")
    kind = f"COMMON_SPECULATIVE_TYPE_{method.spec_type.upper().replace('-', '_')}"
    assert speculation.draft_tokens is not None
    fields = [
        Field("speculative.types", (EnumName("common_speculative_type", kind),)),
        Field(OPTIONS[method.draft_length].field, speculation.draft_tokens),
    ]
    if speculation.method == "mtp":
        fields.append(Field("load_mtp", True))
    if speculation.draft_model is not None and speculation.method in WITH_DRAFT_FILE:
        fields.append(Field("speculative.draft.mparams.path", str(speculation.draft_model)))
    return fields


def fields(spec: LaunchSpec) -> list[Field]:
    """Every field that a launch sets, in order: later ones, the user's own, win.

    Raises:
        UsageError: unknown method or option, or a value that the option cannot have.
    """
    if spec.model is None:
        raise UsageError("llama.cpp needs a model: --model FILE.gguf")
    base = [
        Field("model.path", str(spec.model)),
        Field("hostnames", ("127.0.0.1",)),
        Field("port", 0),
        Field("n_parallel", 1),
        Field("n_ctx", spec.context),
        Field("endpoint_metrics", True),
        # Prompts of a run never repeat within a launch, so a cache could only disturb.
        Field("cache_prompt", False),
        Field("cache_ram_mib", 0),
        *_speculation(spec.speculation),
    ]
    merged = {field.path: field for field in base}
    for option, value in spec.options:
        field = _parse(option, value)
        merged[field.path] = field
    _check_lookup(merged, spec.speculation)
    return list(merged.values())


def _check_lookup(merged: Mapping[str, Field], speculation: Speculation) -> None:
    if speculation.method != "ngram-simple":
        return
    field = merged.get("speculative.ngram_simple.size_n")
    lookup = LONGEST_LOOKUP if field is None else field.value
    if isinstance(lookup, int) and lookup > (speculation.draft_tokens or 0):
        raise UsageError(
            f"llama.cpp's ngram-simple drafts nothing when spec-ngram-simple-size-n ({lookup}) "
            f"is larger than the draft length ({speculation.draft_tokens}): change one of them"
        )
