"""Launches as the arguments of `vllm serve`, and what of them is refused."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.vllm import runner
from runners.vllm.arguments import arguments_of, canonical, canonical_in
from runners.vllm.build import Build, environment
from runners.vllm.help import parse_help
from runners.vllm.methods import METHODS, applies, support_of
from runners.vllm.runner import Vllm
from tests.runners.vllm.builds import build_of, help_text

TODAY = build_of()
Options = tuple[tuple[str, OptionValue], ...]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VLLM_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("a model")
    (model / "config.json").write_text("{}")
    return model


def given_of(folder: Path, *options: tuple[str, OptionValue], build: Build = TODAY) -> list[str]:
    """What the options add to a plain launch."""
    plain = arguments_of(LaunchSpec(folder), build)
    argv = arguments_of(LaunchSpec(folder, options=options), build)
    assert argv[: len(plain)] == plain
    return argv[len(plain) :]


def config_of(argv: list[str]) -> dict[str, object]:
    found = json.loads(argv[argv.index("--speculative-config") + 1])
    assert isinstance(found, dict)
    return found


def speculative(
    folder: Path, speculation: Speculation, *options: tuple[str, OptionValue], build: Build = TODAY
) -> dict[str, object]:
    return config_of(arguments_of(LaunchSpec(folder, speculation, options), build))


def test_plain_decoding_of_each_version(folder: Path) -> None:
    spec = LaunchSpec(folder, context=2048, seed=7)
    common = ["--max-model-len", "2048", "--seed", "7", "--generation-config", "vllm"]
    details = ["--enable-prompt-tokens-details"]
    uncached = ["--no-enable-prefix-caching"]
    assert arguments_of(spec, TODAY) == [
        *(str(folder), *common, "--enable-per-request-metrics", *details, *uncached)
    ]
    for name in ("0.8.5", "0.10.2", "0.11.0-all"):
        old = build_of(name)
        assert arguments_of(spec, old) == [str(folder), *common, *details, *uncached]
    module = build_of(words=("/e/python", "-m", "vllm.entrypoints.openai.api_server"))
    assert arguments_of(spec, module)[:2] == ["--model", str(folder)]


def test_a_build_that_knows_none_of_our_own_flags(folder: Path) -> None:
    lines = [f"  --{name} X" for name in ("max-model-len", "served-model-name", "host", "port")]
    bare = Build(("/e/vllm", "serve"), "0", False, None, parse_help("\n".join(lines)))
    assert arguments_of(LaunchSpec(folder), bare) == [str(folder), "--max-model-len", "4096"]
    with pytest.raises(UsageError, match="this build has no --speculative-config"):
        arguments_of(LaunchSpec(folder, Speculation("ngram", 2)), bare)


def test_memory_of_a_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = build_of(cpu=True)

    def sized(context: int, *options: tuple[str, OptionValue]) -> str | None:
        argv = arguments_of(LaunchSpec(folder, options=options, context=context), cpu)
        flag = "--kv-cache-memory-bytes"
        return argv[argv.index(flag) + 1] if flag in argv else None

    assert sized(100) == str(1 << 30)
    assert sized(100_000) == str(100_000 * 256 * 1024)
    assert sized(100, ("kv-cache-memory-bytes", 5)) == "5"
    assert sized(100, ("gpu-memory-utilization", 0.3)) is None
    assert "--kv-cache-memory-bytes" not in arguments_of(LaunchSpec(folder), TODAY)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    assert sized(100) is None


def test_options_of_every_kind(folder: Path) -> None:
    assert given_of(folder, ("dtype", "float32")) == ["--dtype", "float32"]
    assert given_of(folder, ("--enforce_eager", True)) == ["--enforce-eager"]
    assert given_of(folder, ("enforce-eager", "off")) == ["--no-enforce-eager"]
    assert given_of(folder, ("no-enforce-eager", "on")) == ["--no-enforce-eager"]
    assert given_of(folder, ("no-enforce-eager", False)) == ["--enforce-eager"]
    assert given_of(folder, ("-tp", 2)) == ["--tensor-parallel-size", "2"]
    assert given_of(folder, ("compilation-config.mode", 0)) == ["--compilation-config.mode", "0"]
    assert given_of(folder, ("compilation_config.use_inductor", False)) == [
        *("--compilation-config.use_inductor", "false")
    ]
    assert given_of(folder, ("enable-multimodal-encoder-data-parallel", "off"), build=OLD) == []


OLD = build_of("0.10.2")


def test_the_users_own_values_win(folder: Path) -> None:
    argv = arguments_of(LaunchSpec(folder, options=(("max_model_len", "8k"),)), TODAY)
    assert argv.count("--max-model-len") == 1
    assert argv[argv.index("--max-model-len") + 1] == "8k"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("frobnicate", 1, r"vLLM 0\.32\.0 has no option 'frobnicate'$"),
        ("max-model-length", 1, "no option 'max-model-length'; did you mean .*max-model-len"),
        ("prompt_lookup_mx", 1, "did you mean prompt_lookup_max"),
        ("enforce-eager", "maybe", "enforce-eager cannot be 'maybe': expected on or off"),
        ("seed", 1, "seed is set by --seed"),
        ("--served_model_name", "x", "served-model-name is set by bench"),
        ("sc", "{}", "speculative-config is set by --method, --draft-tokens"),
        ("spec-method", "mtp", "spec-method is set by --method"),
        ("enable-prefix-caching", True, "a cached prompt would not be measured"),
        ("no-enable-prefix-caching", True, "a cached prompt would not be measured"),
        ("ssl-keyfile", "x", "speaks plain HTTP"),
        ("root-path", "/v", "set by bench"),
        ("override-generation-config", "{}", "every runner samples alike"),
        ("hf-token", "x", "keeps no secrets"),
        ("api-key", "x", "nobody else can reach"),
        ("speculative-config.method", "mtp", "is set by --method"),
        ("sc.num_speculative_tokens", 3, "is set by --draft-tokens"),
        ("prompt_lookup_max", 3, "prompt_lookup_max means nothing to plain decoding"),
        ("frobnicate.mode", 3, "no option 'frobnicate.mode'"),
    ],
)
def test_refusals(folder: Path, option: str, value: OptionValue, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        arguments_of(LaunchSpec(folder, options=((canonical(option), value),)), TODAY)


def test_wrong_folders(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    for model, words in (
        (None, "needs a model folder: --model FOLDER"),
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path, "reads folders with a config.json"),
        (file, "reads folders with a config.json"),
    ):
        with pytest.raises(UsageError, match=words):
            arguments_of(LaunchSpec(model), TODAY)
    draft = Speculation("eagle3", 3, file)
    with pytest.raises(UsageError, match=r"--draft-model .*reads folders"):
        arguments_of(LaunchSpec(folder, draft), TODAY)


@pytest.mark.parametrize("method", METHODS)
def test_each_method(folder: Path, method: str) -> None:
    own = METHODS[method]
    support = support_of(method, TODAY)
    assert support.supported
    assert (support.needs, support.limit) == (own.needs, own.limit)
    assert all(need.value in support.note for need in own.needs)
    draft = folder if own.needs else None
    expected: dict[str, object] = {"method": own.name, "num_speculative_tokens": 3}
    if draft is not None:
        expected["model"] = str(draft)
    assert speculative(folder, Speculation(method, 3, draft)) == expected
    if own.needs and method != "mtp":
        with pytest.raises(UsageError, match=f"method {method} needs --draft-model"):
            arguments_of(LaunchSpec(folder, Speculation(method, 3)), TODAY)


def test_heads_within_the_model(folder: Path) -> None:
    assert speculative(folder, Speculation("mtp", 2)) == {
        "method": "mtp",
        "num_speculative_tokens": 2,
    }


def test_keys_of_the_configuration(folder: Path) -> None:
    options: Options = (
        (canonical("prompt_lookup_max"), 4),
        (canonical("--speculative-config.prompt-lookup-min"), 2),
        (canonical("sc.max_model_len"), 100),
        ("dtype", "float32"),
    )
    spec = LaunchSpec(folder, Speculation("ngram", 3), options)
    argv = arguments_of(spec, TODAY)
    assert config_of(argv) == {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 4,
        "prompt_lookup_min": 2,
        "max_model_len": 100,
    }
    assert argv[-2:] == ["--dtype", "float32"]
    assert argv[argv.index("--per-request-spec-decode-metrics") + 1] == "summary"
    assert "--per-request-spec-decode-metrics" not in arguments_of(spec, OLD)


@pytest.mark.parametrize(
    ("synthetic", "expected"),
    [
        (SyntheticAcceptance(length=2.5), {"synthetic_acceptance_length": 2.5}),
        (
            SyntheticAcceptance(rates=(0.9, 0.5, 0.25, 0.1)),
            {"synthetic_acceptance_rates": [0.9, 0.5, 0.25]},
        ),
    ],
)
def test_synthetic_acceptance(
    folder: Path, synthetic: SyntheticAcceptance, expected: dict[str, object]
) -> None:
    """vLLM wants exactly one rate a position, each that of all up to it being accepted."""
    assert speculative(folder, Speculation("mtp", 3, synthetic=synthetic)) == {
        "method": "mtp",
        "num_speculative_tokens": 3,
        "rejection_sample_method": "synthetic",
        **expected,
    }


def test_methods_that_a_build_lacks(folder: Path) -> None:
    lines = [f"  --{name} X" for name in ("max-model-len", "served-model-name", "host", "port")]
    lines += ["  --speculative-config X", "  --spec-method {ngram,eagle}"]
    build = Build(("/e/vllm", "serve"), "9", False, False, parse_help("\n".join(lines)))
    assert support_of("ngram", build).supported
    assert support_of("none", build).supported
    assert support_of("mtp", build).note == "vLLM 9 does not have it"
    assert support_of("ngram-mod", build).note == "vLLM has no such method"
    with pytest.raises(UsageError, match="cannot speculate by 'ngram-mod'"):
        arguments_of(LaunchSpec(folder, Speculation("ngram-mod", 3)), build)
    with pytest.raises(UsageError, match=r"cannot speculate by 'ngram\+mtp'"):
        arguments_of(LaunchSpec(folder, Speculation("ngram+mtp", 3)), build)
    for name, suffix, note in (
        ("0.32.0-all", False, "needs arctic-inference, which is not installed"),
        ("0.32.0-all", None, "needs arctic-inference beside vLLM"),
        ("0.8.5", True, ""),
    ):
        support = support_of("suffix", build_of(name, suffix=suffix))
        assert support.note.startswith(note)
        assert support.supported is (suffix is not False)


def test_names_of_options() -> None:
    assert canonical("--max_model_len") == "max-model-len"
    assert canonical("compilation_config.cudagraph_mode") == "compilation-config.cudagraph_mode"
    assert canonical("suffix-decoding-max-tree-depth") == (
        "speculative-config.suffix_decoding_max_tree_depth"
    )
    assert canonical_in(TODAY, "-tp") == "tensor-parallel-size"
    assert canonical_in(TODAY, "no-such") == "no-such"


def test_which_options_apply() -> None:
    lookup = "speculative-config.prompt_lookup_max"
    suffix = "speculative-config.suffix_decoding_min_token_prob"
    other = "speculative-config.draft_sample_method"
    assert [applies(lookup, method) for method in ("none", "ngram", "mtp")] == [False, True, False]
    assert [applies(suffix, method) for method in ("none", "suffix", "mtp")] == [False, True, False]
    assert [applies(other, method) for method in ("none", "eagle", "mtp")] == [False, True, True]
    assert applies("dtype", "none")


# ---- to paste ---------------------------------------------------------------------------------


def reproduced(spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(runner, "describe", lambda program: TODAY)
    return Vllm().reproduce(spec)


def test_reproducing_shows_settings_and_no_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-1 2")
    monkeypatch.setenv("VLLM_API_KEY", "s3cret")
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    # How it speculates, and why it ends, is read off its log.
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
    monkeypatch.setenv("VLLM_CONFIGURE_LOGGING", "0")
    text = reproduced(LaunchSpec(folder, Speculation("ngram", 2)), monkeypatch)
    assert text.startswith("VLLM_CPU_OMP_THREADS_BIND='0-1 2' /e/vllm serve ")
    assert "s3cret" not in text
    assert "s3cret" not in environment().get("VLLM_API_KEY", "")
    assert environment()["HF_HUB_OFFLINE"] == "1"
    assert environment().keys().isdisjoint({"VLLM_LOGGING_LEVEL", "VLLM_CONFIGURE_LOGGING"})
    assert environment()["VLLM_CPU_OMP_THREADS_BIND"] == "0-1 2"


@given(st.text(min_size=1, max_size=40), st.text(max_size=20))
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_what_is_pasted_is_what_was_launched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: str, key: str
) -> None:
    options: Options = (("tokenizer", value), ("speculative-config.revision", key))
    spec = LaunchSpec(folder, Speculation("mtp", 2, folder), options)
    assert shlex.split(reproduced(spec, monkeypatch)) == [
        *TODAY.words,
        *arguments_of(spec, TODAY),
    ]


def test_every_flag_that_is_ours_exists_in_some_version() -> None:
    """A name that no version has would never be refused."""
    from runners.vllm.arguments import OURS

    known = {
        spelling
        for name in ("0.8.5", "0.10.2", "0.11.0-all", "0.32.0-all")
        for flag in parse_help(help_text(name)).flags
        for spelling in flag.spellings
    }
    assert set(OURS) <= known


def test_plain_decoding_is_the_default(folder: Path) -> None:
    assert "--speculative-config" not in arguments_of(LaunchSpec(folder, PLAIN_DECODING), TODAY)
