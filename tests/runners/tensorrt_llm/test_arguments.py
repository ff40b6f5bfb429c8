"""Launches as trtllm-serve's arguments and configuration file, and what of them is refused."""

from __future__ import annotations

import contextlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.base.contract import LaunchSpec, Missing, OptionValue, UsageError
from runners.base.speculation import METHODS, Speculation, SyntheticAcceptance
from runners.endpoint.launched import Build
from runners.tensorrt_llm import build as building
from runners.tensorrt_llm import runner
from runners.tensorrt_llm.build import describe, release
from runners.tensorrt_llm.config import put, value_of, yaml_of
from runners.tensorrt_llm.methods import support_of
from runners.tensorrt_llm.runner import OURS, TensorRtLlm
from tests.runners.endpoint.programs import help_text, model_folder, tensorrt_llm

TODAY = tensorrt_llm()
OLD = tensorrt_llm("1.1.0")
Options = tuple[tuple[str, OptionValue], ...]
ANY: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "describe", lambda program: TODAY)
    for name in ("TRTLLM_ENABLE_PDL", "TLLM_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "a model")


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("drafts") / "draft")


def launched(
    folder: Path,
    speculation: Speculation | None = None,
    *options: tuple[str, OptionValue],
    build: Build = TODAY,
) -> tuple[list[str], dict[str, Any]]:
    """The words, and the file."""
    spec = LaunchSpec(folder, speculation or Speculation(), options, context=2048, seed=7)
    launch = TensorRtLlm().launch(spec, build, "/log/config.yaml")
    assert launch.config is not None
    assert "\n" not in launch.config
    content = json.loads(launch.config)
    assert isinstance(content, dict)
    return list(launch.words), content


def test_plain_decoding(folder: Path) -> None:
    words, content = launched(folder)
    assert words == [
        *(str(folder), "--backend", "pytorch", "--max_batch_size", "4", "--max_seq_len", "2048"),
        *("--config", "/log/config.yaml"),
    ]
    assert content == {
        "kv_cache_config": {"enable_block_reuse": False},
        "enable_iter_perf_stats": True,
        "return_perf_metrics": True,
    }


@pytest.mark.parametrize("k", [1, 4])
def test_each_method(folder: Path, draft: Path, k: int) -> None:
    def config(method: str, path: Path | None = None, build: Build = TODAY) -> object:
        return launched(folder, Speculation(method, k, path), build=build)[1]["speculative_config"]

    where = {"speculative_model": str(draft)}
    assert config("draft-model", draft) == {
        "decoding_type": "Draft_Target",
        "max_draft_len": k,
        **where,
    }
    assert config("eagle3", draft) == {"decoding_type": "Eagle3", "max_draft_len": k, **where}
    # Both names of MTP's length: some versions know one, some the other, and some both.
    mtp = {"decoding_type": "MTP", "max_draft_len": k, "num_nextn_predict_layers": k}
    assert config("mtp") == mtp
    assert config("mtp", draft) == {**mtp, **where}
    assert config("ngram") == {
        "decoding_type": "NGram",
        "max_draft_len": k,
        "max_matching_ngram_size": 2,
        "is_public_pool": False,
    }
    assert config("dflash", draft) == {"decoding_type": "DFlash", "max_draft_len": k, **where}
    assert config("dspark", draft) == {
        "decoding_type": "DSpark",
        "max_draft_len": k,
        "block_size": k,
        **where,
    }
    before = {"speculative_model_dir": str(draft)}
    assert config("draft-model", draft, OLD) == {
        "decoding_type": "DraftTarget",
        "max_draft_len": k,
        **before,
    }
    assert config("eagle3", draft, OLD) == {"decoding_type": "Eagle", "max_draft_len": k, **before}


def test_drafts_that_must_wait_for_the_step_before(folder: Path, draft: Path) -> None:
    for method, waits in (("draft-model", True), ("ngram", True), ("eagle3", False)):
        content = launched(folder, Speculation(method, 2, draft))[1]
        assert content.get("disable_overlap_scheduler", False) is waits
    content = launched(folder, Speculation("ngram", 2), ("disable_overlap_scheduler", "false"))[1]
    assert content["disable_overlap_scheduler"] is False


def test_older_names_of_flags(folder: Path) -> None:
    words, _ = launched(folder, build=OLD)
    assert words[-2:] == ["--extra_llm_api_options", "/log/config.yaml"]
    spec = LaunchSpec(folder)
    assert TensorRtLlm().served_name(spec, OLD) == "a model"
    assert TensorRtLlm().served_name(spec, TODAY).startswith("bench-")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_supported_or_refused_with_words(
    folder: Path, draft: Path, method: str
) -> None:
    for build in (TODAY, OLD, tensorrt_llm("of unknown version")):
        support = support_of(method, build)
        if method == "none":
            assert support.supported
        elif support.supported:
            launched(folder, Speculation(method, 2, draft), build=build)
        else:
            assert support.note
            with pytest.raises(UsageError, match=f"cannot speculate by '{method}'"):
                launched(folder, Speculation(method, 2, draft), build=build)
    assert not support_of("dflash", OLD).supported
    assert not support_of("medusa", TODAY).supported


def test_synthetic_acceptance(folder: Path) -> None:
    drawn = Speculation("ngram", 2, None, SyntheticAcceptance(length=2))
    with pytest.raises(UsageError, match="no --synthetic-acceptance"):
        launched(folder, drawn)


def test_options_of_the_command_line_and_of_the_file(folder: Path) -> None:
    words, content = launched(
        folder,
        Speculation("ngram", 2),
        ("tp-size", 2),
        ("max_batch_size", 8),
        ("kv-cache-free-gpu-memory-fraction", 0.8),
        ("kv_cache_config.dtype", "fp8"),
        ("speculative_config.max_matching_ngram_size", "4"),
        ("attn_backend", "FLASHINFER"),
        ("cuda_graph_config.enable_padding", True),
    )
    assert words[-6:] == [
        *("--tensor_parallel_size", "2", "--max_batch_size", "8"),
        *("--config", "/log/config.yaml"),
    ]
    # A section of the file takes the place of what flags say of it, so these stand in the file.
    assert content["kv_cache_config"] == {
        "enable_block_reuse": False,
        "free_gpu_memory_fraction": 0.8,
        "dtype": "fp8",
    }
    assert content["speculative_config"]["max_matching_ngram_size"] == 4
    assert content["attn_backend"] == "FLASHINFER"
    assert content["cuda_graph_config"] == {"enable_padding": True}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((("max_batch_sise", 1),), "did you mean max_batch_size"),
        ((("kv_cache_confik.dtype", 1),), "has no option"),
        ((("host", "0.0.0.0"),), "is set by bench"),
        ((("extra-llm-api-options", "x.yaml"),), "each of its keys"),
        ((("kv_cache_config.enable_block_reuse", True),), "a cached prompt"),
        ((("enable_iter_perf_stats", False),), "it reads them"),
        ((("speculative_config.max_draft_len", 3),), "is set by --draft-tokens"),
        ((("speculative_config.max_concurrency", 3),), "switch speculation off"),
        ((("speculative_config.is_keep_all", True),), "means nothing to 'none'"),
    ],
)
def test_options_that_are_refused(folder: Path, options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        launched(folder, None, *options)


def test_which_options_a_method_looks_at() -> None:
    applies = TensorRtLlm().applies
    assert applies("kv_cache_config.dtype", "none")
    assert not applies("speculative_config.load_format", "none")
    assert applies("speculative_config.load_format", "eagle3")
    assert applies("speculative_config.is_use_oldest", "ngram")
    assert not applies("speculative_config.max_matching_ngram_size", "mtp")


def test_every_flag_that_is_ours_exists() -> None:
    assert set(OURS) <= {
        text for build in (TODAY, OLD) for flag in build.help.flags for text in flag.spellings
    }


def test_releases() -> None:
    assert release("1.3.0rc15") == (1, 3)
    assert release("of unknown version") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "0.00001"),
        (0.8, "0.8"),
        (1e20, "100000000000000000000.0"),
        (2.0, "2.0"),
        (True, "true"),
        (7, "7"),
        ("fp8", '"fp8"'),
        ("no", '"no"'),
        ("a: {b}\n", '"a: {b}\\n"'),
        ("\N{GRINNING FACE}", '"\N{GRINNING FACE}"'),
    ],
)
def test_values_as_yaml_reads_them(value: OptionValue, text: str) -> None:
    assert yaml_of({"a": {"b": value}}) == f'{{"a": {{"b": {text}}}}}'


Values = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))


@given(st.dictionaries(st.text(), st.one_of(Values, st.dictionaries(st.text(), Values))))
@settings(max_examples=100, deadline=None)
def test_the_file_holds_what_was_put_into_it(config: dict[str, object]) -> None:
    def finite(value: object) -> object:
        return str(value) if value in (float("inf"), float("-inf")) else value

    expected = {
        key: {name: finite(each) for name, each in value.items()}
        if isinstance(value, dict)
        else finite(value)
        for key, value in config.items()
    }
    assert json.loads(yaml_of(config)) == expected


def test_texts_that_are_values() -> None:
    assert [value_of(text) for text in ("0.8", "3", "true", "fp8", "[1]", "null", "NaN!")] == [
        *(0.8, 3, True, "fp8", "[1]", "null", "NaN!"),
    ]
    config: Any = {}
    put(config, "a.b", 1)
    put(config, "a.c", 2)
    put(config, "d", 3)
    assert config == {"a": {"b": 1, "c": 2}, "d": 3}


def test_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "help").write_text(help_text("tensorrt_llm", "1.3"))
    script = tmp_path / "trtllm-serve"
    script.write_text(f'#!/bin/sh\n[ "$1 $2" = "serve --help" ] && cat \'{tmp_path}/help\'\n')
    script.chmod(0o755)
    found = describe(str(script))
    assert isinstance(found, Build)
    assert (found.words, found.version) == ((str(script), "serve"), "of unknown version")
    assert found.help == TODAY.help
    building._describe.cache_clear()
    script.write_text("#!/bin/sh\necho 'ImportError: libcuda.so.1: cannot open' >&2; exit 1\n")
    script.touch()
    missing = describe(str(script))
    assert isinstance(missing, Missing)
    assert "libcuda.so.1" in missing.reason


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = describe(None)
    assert isinstance(missing, Missing)
    assert "--tensorrt-llm" in missing.advice


@given(st.text(max_size=30), st.one_of(st.text(max_size=20), st.integers(), st.booleans()))
@settings(max_examples=80, **ANY)
def test_any_option_is_taken_or_refused(folder: Path, name: str, value: OptionValue) -> None:
    with contextlib.suppress(UsageError):
        assert launched(folder, None, (name, value))[0][0] == str(folder)


@given(st.text(max_size=40))
@settings(max_examples=40, **ANY)
def test_what_is_pasted_is_what_was_launched(folder: Path, value: str) -> None:
    options = (("tokenizer", value), ("kv_cache_config.dtype", value))
    spec = LaunchSpec(folder, Speculation("ngram", 2), options)
    launch = TensorRtLlm().launch(spec, TODAY, "config.yaml")
    said = shlex.split(TensorRtLlm().reproduce(spec))
    assert said[:5] == ["printf", "%s\\n", launch.config, ">", "config.yaml"]
    assert said[5:] == [*TODAY.words, *launch.words]
