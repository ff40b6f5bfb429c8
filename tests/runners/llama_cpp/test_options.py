from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import Speculation
from runners.llama_cpp.fields import EnumName, fields
from runners.llama_cpp.methods import METHODS, applies, needed_options
from runners.llama_cpp.options import canonical
from runners.llama_cpp.reproduce import command_line, reproduce

MODEL = Path("/models/a model.gguf")
DRAFT = Path("/models/draft.gguf")


def spec(method: str = "none", k: int | None = None, **options: OptionValue) -> LaunchSpec:
    draft = DRAFT if method == "draft-model" else None
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return LaunchSpec(MODEL, Speculation(method, k, draft), named, context=2048)


def as_dict(launch: LaunchSpec) -> dict[str, object]:
    return {field.path: field.value for field in fields(launch)}


def test_plain_decoding_sets_nothing_of_speculation() -> None:
    found = as_dict(spec())
    assert found["model.path"] == str(MODEL)
    assert found["hostnames"] == ("127.0.0.1",)
    assert (found["n_parallel"], found["n_ctx"], found["cache_prompt"]) == (1, 2048, False)
    assert not [path for path in found if path.startswith("speculative")]


@pytest.mark.parametrize(
    ("method", "limit"),
    [
        ("draft-model", "speculative.draft.n_max"),
        ("mtp", "speculative.draft.n_max"),
        ("ngram-simple", "speculative.ngram_simple.size_m"),
        ("ngram-map-k", "speculative.ngram_map_k.size_m"),
        ("ngram-map-k4v", "speculative.ngram_map_k4v.size_m"),
        ("ngram-mod", "speculative.ngram_mod.n_max"),
    ],
)
def test_the_draft_length_reaches_the_right_knob(method: str, limit: str) -> None:
    needed = {name.replace("-", "_"): value for name, value in needed_options(method, [5])}
    found = as_dict(spec(method, 5, **needed))
    assert found[limit] == 5
    (kind,) = found["speculative.types"]  # type: ignore[misc]
    assert isinstance(kind, EnumName)
    assert kind.member.endswith(METHODS[method].spec_type.upper().replace("-", "_"))
    line = command_line(spec(method, 5, **needed))
    assert line[line.index("--spec-type") + 1] == METHODS[method].spec_type
    assert line[line.index(f"--{METHODS[method].draft_length}") + 1] == "5"
    if method == "draft-model":
        assert found["speculative.draft.mparams.path"] == str(DRAFT)
        assert line[line.index("--spec-draft-model") + 1] == str(DRAFT)


def test_short_drafts_of_ngram_methods_are_not_dropped() -> None:
    assert needed_options("ngram-mod", [2]) == (("spec-ngram-mod-n-min", 1),)
    assert needed_options("ngram-simple", [8, 2]) == (("spec-ngram-simple-size-n", 2),)
    assert needed_options("ngram-simple", [30]) == (("spec-ngram-simple-size-n", 12),)
    assert needed_options("mtp", [1]) == ()
    # Twelve tokens are looked up by default.
    for options in ({}, {"spec_ngram_simple_size_n": 4}):
        with pytest.raises(UsageError, match="drafts nothing when"):
            fields(spec("ngram-simple", 2, **options))


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({"ctk": "q8_0"}, "cache_type_k", EnumName("ggml_type", "GGML_TYPE_Q8_0")),
        ({"--threads": 3}, "cpuparams.n_threads", 3),
        ({"c": 512}, "n_ctx", 512),
        ({"no_repack": True}, "no_extra_bufts", True),
        ({"ts": "3/1"}, "tensor_split", (3.0, 1.0)),
        ({"spec_draft_p_min": 0.6}, "speculative.draft.p_min", 0.6),
        (
            {"fa": True},
            "flash_attn_type",
            EnumName("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_ENABLED"),
        ),
    ],
)
def test_options_by_llama_servers_names(
    given: dict[str, OptionValue], path: str, value: object
) -> None:
    assert as_dict(spec("mtp", 2, **given))[path] == value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"thread": 2}, "did you mean threads"),
        ({"xyz": 2}, "known: no-cache-prompt"),
        ({"threads": "two"}, "threads cannot be 'two'"),
        ({"ctk": "q9"}, "expected one of f32, f16"),
        ({"no_repack": "maybe"}, "expected on or off"),
        ({"spec_draft_n_max": 3}, "sweep it with --draft-tokens"),
    ],
)
def test_options_that_it_does_not_have(given: dict[str, OptionValue], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fields(spec("mtp", 2, **given))


def test_methods_and_models_that_it_lacks() -> None:
    with pytest.raises(UsageError, match="cannot speculate by 'medusa'"):
        fields(spec("medusa", 2))
    with pytest.raises(UsageError, match="needs --draft-model"):
        fields(LaunchSpec(MODEL, Speculation("draft-model", 2)))
    with pytest.raises(UsageError, match="needs a model"):
        fields(LaunchSpec(None))


def test_which_options_mean_something_to_which_method() -> None:
    assert applies("threads", "none")
    assert not applies("spec-draft-p-min", "none")
    assert applies("spec-draft-p-min", "mtp")
    assert not applies("spec-draft-p-min", "ngram-mod")
    assert applies("spec-ngram-map-k-size-n", "ngram-map-k")
    assert not applies("spec-ngram-map-k4v-size-n", "ngram-map-k")
    assert applies("spec-ngram-map-k4v-size-n", "ngram-map-k4v")
    assert not applies("spec-ngram-mod-n-match", "ngram-simple")


def test_command_line_can_be_pasted() -> None:
    launch = spec("mtp", 3, threads=2, no_repack=True, ctk="q8_0")
    line = shlex.join(command_line(launch))
    assert shlex.split(line) == command_line(launch)
    assert line == (
        "llama-server --model '/models/a model.gguf' --parallel 1 --ctx-size 2048"
        " --metrics --no-cache-prompt --cache-ram 0"
        " --spec-type draft-mtp --spec-draft-n-max 3 --threads 2 --no-repack"
        " --cache-type-k q8_0"
    )


def test_switches_that_are_off() -> None:
    line = command_line(spec(kv_unified=False, swa_full=False, no_mmap=True))
    assert "--no-kv-unified" in line
    assert "--swa-full" not in line
    assert "--no-mmap" in line


def test_values_that_only_the_wheel_takes_as_they_are_written() -> None:
    line = command_line(spec(flash_attn=True, cache_type_k="Q8_0"))
    assert line[line.index("--flash-attn") + 1] == "true"
    assert line[line.index("--cache-type-k") + 1] == "q8_0"


@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"
)
def test_any_plain_field_of_the_build_can_be_set() -> None:
    launch = spec(
        n_keep=7, **{"speculative.draft.p_split": 0.2, "numa": "GGML_NUMA_STRATEGY_MIRROR"}
    )
    found = as_dict(launch)
    assert found["n_keep"] == 7
    assert found["speculative.draft.p_split"] == 0.2
    assert found["numa"] == EnumName("ggml_numa_strategy", "GGML_NUMA_STRATEGY_MIRROR")
    # llama-server has no such names, so there is no line for it.
    assert "llama-server" not in reproduce(launch)
    with pytest.raises(UsageError, match="n-keep cannot be 'many'"):
        fields(spec(n_keep="many"))
    hidden = ("port", "hf_token", "hostnames", "mcp_servers_json", "endpoint_slots", "api_prefix")
    ways_round = ("endpoint_metrics", "speculative.draft.n_max", "speculative.synth_len")
    files = ("speculative.draft.mparams.path", "speculative.draft.mparams.url", "mmproj.path")
    for ours in (*hidden, *ways_round, *files):
        with pytest.raises(UsageError, match=r"bench sets|no option"):
            fields(spec(**{ours: 1}))


def test_canonical_names() -> None:
    assert canonical("--cache_type_k") == canonical("-ctk") == "cache-type-k"
