"""llama-server's option names, mapped to the fields of the server inside xllamacpp.

The wheel takes no command line, only fields of its `CommonParams`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.option_text import numbers, switch
from runners.base.spelling import nearest
from runners.llama_cpp.methods import DRAFT_LENGTHS
from runners.llama_cpp.options import OURS, launch_options
from runners.llama_cpp.wheel_build import describe


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


def inverse(text: str) -> bool:
    return not switch(text)


def _types(text: str) -> tuple[EnumName, ...]:
    return tuple(
        EnumName(
            "common_speculative_type",
            f"COMMON_SPECULATIVE_TYPE_{name.upper().replace('-', '_')}",
        )
        for name in text.split(",")
    )


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
    "metrics": _Option("endpoint_metrics", switch),
    "no-cache-prompt": _Option("cache_prompt", inverse),
    "cache-ram": _Option("cache_ram_mib", _integer),
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
    "tensor-split": _Option("tensor_split", numbers),
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
    "spec-type": _Option("speculative.types", _types),
    "spec-draft-model": _Option("speculative.draft.mparams.path", str),
    "spec-synth-len": _Option("speculative.synth_len", _number),
    "spec-synth-rates": _Option("speculative.synth_rates", numbers),
    "lookup-cache-static": _Option("speculative.ngram_cache.lookup_cache_static", str),
    "lookup-cache-dynamic": _Option("speculative.ngram_cache.lookup_cache_dynamic", str),
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


def is_switch(name: str) -> bool:
    """Whether llama-server takes the option without a value."""
    return name in ("no-mmap", "mlock") or OPTIONS[name].parse in (switch, inverse)


HIDDEN = frozenset(
    {
        *("model", "hostnames", "port", "server_base", "api_prefix", "reuse_port"),
        *("hf_token", "ssl_file_key", "ssl_file_cert", "mcp_servers_config", "mcp_servers_json"),
        *("ui_config_json", "models_dir", "models_preset", "models_preset_hf", "embedding"),
        *("mmproj", "endpoint_slots", "sleep_idle_seconds", "verbosity", "log_json"),
        *("usage", "is_gen_docs", "path_prompts_log_dir"),
    }
)
"""Fields that the launch itself sets, that hide what is read or serve something else, or that would
carry a secret into the run's files."""
OWNED = frozenset(
    option.field
    for name, option in OPTIONS.items()
    if name in OURS | DRAFT_LENGTHS or name.startswith("spec-synth-")
)
"""Fields that are set by options with a check, which their paths must not go round."""


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
        if path.partition(".")[0] not in HIDDEN
        and path not in OWNED
        and not path.startswith("speculative.draft.mparams.")
    }


def _parse(name: str, value: OptionValue) -> Field:
    if name not in OPTIONS and (known_field := fields_of_build().get(name.replace("-", "_"))):
        return known_field.assign(name, value)
    if name not in OPTIONS:
        free = [name for name, known in OPTIONS.items() if known.field not in OWNED]
        hint = nearest(name, free) or f"known: {', '.join(free)}"
        raise UsageError(f"the embedded llama.cpp server has no option {name!r}; {hint}")
    known = OPTIONS[name]
    try:
        return Field(known.field, known.parse(str(value)))
    except ValueError as error:
        raise UsageError(f"llama.cpp option {name} cannot be {value!r}: {error}") from None


def fields(spec: LaunchSpec) -> list[Field]:
    """Every field that a launch sets.

    Raises:
        UsageError: unknown method or option, or a value that the option cannot have.
    """
    merged = {
        "model.path": Field("model.path", str(spec.model)),
        "hostnames": Field("hostnames", ("127.0.0.1",)),
        "port": Field("port", 0),
    }
    for option, value in launch_options(spec).items():
        field = _parse(option, value)
        merged[field.path] = field
    if "mtp" in spec.speculation.parts:
        merged["load_mtp"] = Field("load_mtp", True)
    return list(merged.values())
