"""Options, methods and the commands to paste, without any Ollama."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path

import pytest

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.speculation import METHODS, PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.ollama.build import Build, environment
from runners.ollama.launch import Settings, settings_of
from runners.ollama.methods import NGRAMS, support_of
from runners.ollama.options import applies, canonical
from runners.ollama.reproduce import commands
from runners.ollama.version import Version
from tests.runners.ollama.conftest import gguf

OWN = Build(Version("0.33.0"), "/opt/my apps/ollama", None)
OTHERS = Build(Version("0.33.0"), None, "http://192.0.2.1:11434")
OLD = Build(Version("0.12.6"), "/usr/bin/ollama", None)


def settings(
    model: Path,
    speculation: Speculation = PLAIN_DECODING,
    build: Build = OWN,
    **options: OptionValue,
) -> Settings:
    return settings_of(LaunchSpec(model, speculation, tuple(options.items()), 2048), build)


@pytest.mark.parametrize(
    ("text", "old", "speculates"),
    [
        ("0.30.0", True, True),
        ("v0.33.0-rc2", True, True),
        ("1.0", True, True),
        ("0.29.9", True, False),
        ("0.5.4", False, False),
        ("0.0.0", True, True),
        ("built by hand", True, True),
    ],
)
def test_versions(text: str, old: bool, speculates: bool) -> None:
    version = Version(text)
    assert (version.imports_files, version.runs_llama_server) == (old, speculates)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("--num-ctx", "num_ctx"),
        ("NUM_GPU", "num_gpu"),
        ("flash-attention", "OLLAMA_FLASH_ATTENTION"),
        ("ollama_kv_cache_type", "OLLAMA_KV_CACHE_TYPE"),
        ("llama_arg_threads_http", "LLAMA_ARG_THREADS_HTTP"),
        ("speculative_decoding", "OLLAMA_SPECULATIVE_DECODING"),
        ("nonsense", "nonsense"),
    ],
)
def test_one_name_for_each_option(given: str, name: str) -> None:
    assert canonical(given) == name
    assert canonical(name) == name


def test_where_options_go(model: Path) -> None:
    made = settings(
        model,
        num_thread="4",
        use_mmap="off",
        num_ctx=1000,
        think="high",
        OLLAMA_FLASH_ATTENTION=True,
        LLAMA_ARG_CACHE_RAM=100,
    )
    assert made.parameters == {
        "num_ctx": 1000,
        "num_thread": 4,
        "use_mmap": False,
        "draft_num_predict": 0,
    }
    assert made.variables["OLLAMA_FLASH_ATTENTION"] == "1"
    assert made.variables["LLAMA_ARG_CACHE_RAM"] == "100"
    assert made.variables["OLLAMA_NUM_PARALLEL"] == "1"
    assert made.think == "high"
    assert settings(model, think="on").think is True
    assert settings(model, OLLAMA_NUM_PARALLEL=4).parallel == 4
    assert settings(model, OLLAMA_CONTEXT_LENGTH=700).parameters["num_ctx"] == 700
    assert settings(model).parameters["num_ctx"] == 2048


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_thred", 1, "did you mean num_thread"),
        ("OLLAMA_KV_CACHE", "f16", "did you mean OLLAMA_KV_CACHE_TYPE"),
        ("num_ctx", "many", "num_ctx cannot be 'many'"),
        ("use_mmap", "perhaps", "expected on or off"),
        ("think", "hard", "low, medium, high"),
        ("draft_num_predict", 3, "--draft-tokens"),
        ("temperature", 1, "--temperature"),
        ("repeat_penalty", 1.1, "samples alike"),
        ("OLLAMA_HOST", "0.0.0.0", "--ollama URL"),
        ("LLAMA_ARG_SPEC_TYPE", "ngram-simple", "--method"),
        ("LLAMA_ARG_PORT", 1, "talks to its llama-server"),
        ("OLLAMA_SPECULATIVE_DECODING", 1, "no version of Ollama reads"),
    ],
)
def test_options_that_cannot_be(model: Path, name: str, value: OptionValue, words: str) -> None:
    with pytest.raises(UsageError) as failure:
        settings_of(LaunchSpec(model, options=((name, value),)), OWN)
    assert words in str(failure.value)


def test_variables_belong_to_a_server_of_ours(model: Path) -> None:
    with pytest.raises(UsageError, match="runs already"):
        settings(model, build=OTHERS, OLLAMA_KEEP_ALIVE="5m")
    with pytest.raises(UsageError, match=r"since 0\.30"):
        settings(model, build=OLD, LLAMA_ARG_CACHE_RAM=0)
    assert settings(model, build=OTHERS).variables == {}
    assert not any(name.startswith("LLAMA") for name in settings(model, build=OLD).variables)


def test_every_method_is_answered_for(model: Path, tmp_path: Path) -> None:
    supported = {name for name in METHODS if support_of(name, OWN).supported}
    assert supported == {"none", "mtp", "dflash", *NGRAMS}
    for method in METHODS:
        support = support_of(method, OWN)
        assert support.supported or support.note
    assert "as MTP heads" in support_of("draft-model", OWN).note
    assert "inferred" in support_of("ngram-mod", OWN).note
    assert support_of("ngram-simple", OWN).fixed_length == 48
    assert not support_of("ngram-simple", OTHERS).supported


def test_speculation_in_ollamas_words(model: Path, tmp_path: Path) -> None:
    assert settings(model, Speculation("mtp", 3)).parameters["draft_num_predict"] == 3
    ngram = settings(model, Speculation("ngram-simple", 48))
    assert ngram.parameters["draft_num_predict"] == 0
    assert ngram.variables["LLAMA_ARG_SPEC_TYPE"] == "ngram-simple"
    draft = gguf(tmp_path / "draft.gguf", "dflash")
    dflash = settings(model, Speculation("dflash", 4, draft))
    assert (dflash.draft, dflash.parameters["draft_num_predict"]) == ((draft,), 4)
    # Without it, a draft model means nothing.
    assert settings(model, Speculation("ngram-mod", 64, draft)).draft == ()


def test_speculation_that_cannot_be(model: Path, tmp_path: Path) -> None:
    dflash, heads = gguf(tmp_path / "d.gguf", "dflash"), gguf(tmp_path / "h.gguf", "qwen35")
    synthetic = SyntheticAcceptance(length=2)
    for speculation, words in (
        (Speculation("draft-model", 3, heads), "as MTP heads"),
        (Speculation("eagle3", 3, heads), "two kinds of draft GGUF"),
        (Speculation("mtp", 3, dflash), "would run it as dflash"),
        (Speculation("dflash", 3, heads), "would run it as mtp"),
        (Speculation("dflash", 3), "needs --draft-model"),
        (Speculation("ngram-mod+mtp", 3), "one way at a time"),
        (Speculation("mtp", 3, synthetic=synthetic), "no acceptance by draw"),
    ):
        with pytest.raises(UsageError) as failure:
            settings(model, speculation)
        assert words in str(failure.value)


def test_models_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads GGUF files"):
        settings(tmp_path)
    with pytest.raises(UsageError, match="--model FILE"):
        settings_of(LaunchSpec(None), OWN)


def test_which_options_apply() -> None:
    assert applies("num_ctx", "none")
    assert not applies("LLAMA_ARG_SPEC_DRAFT_P_MIN", "none")
    assert not applies("LLAMA_ARG_SPEC_DRAFT_P_MIN", "ngram-mod")
    assert applies("LLAMA_ARG_SPEC_DRAFT_P_MIN", "mtp")


def test_the_environment_is_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "8")
    monkeypatch.setenv("OLLAMA_LIBRARY_PATH", "/opt/lib")
    monkeypatch.setenv("LLAMA_ARG_SPEC_TYPE", "ngram-mod")
    # Its llama-server would ask it for a key, and write another prompt.
    monkeypatch.setenv("LLAMA_API_KEY", "hunter2")
    monkeypatch.setenv("LLAMA_CHAT_TEMPLATE_KWARGS", "{}")
    # It writes both into its log.
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy")
    monkeypatch.setenv("http_proxy", "http://user:hunter2@proxy")
    made = environment({"OLLAMA_KEEP_ALIVE": "-1"})
    assert "hunter2" not in str(made)
    assert "LLAMA_CHAT_TEMPLATE_KWARGS" not in made
    assert "OLLAMA_NUM_PARALLEL" not in made
    assert "LLAMA_ARG_SPEC_TYPE" not in made
    assert (made["OLLAMA_LIBRARY_PATH"], made["OLLAMA_KEEP_ALIVE"]) == ("/opt/lib", "-1")


def test_commands_to_paste(model: Path) -> None:
    text = commands(settings(model, Speculation("mtp", 3), use_mmap=False), OWN)
    serve, wait, modelfile, create, run = text.replace("\\\n", "").splitlines()
    assert "'/opt/my apps/ollama' serve &" in serve
    assert "OLLAMA_NUM_PARALLEL=1" in serve
    assert wait.startswith("until OLLAMA_HOST=127.0.0.1:")
    words = shlex.split(modelfile)
    assert words[2] == f'FROM "{model}"'
    assert "PARAMETER draft_num_predict 3" in words
    assert "PARAMETER use_mmap false" in words
    assert words[-2:] == [">", "Modelfile"]
    assert create.endswith("create decodebench -f Modelfile")
    assert run.startswith("OLLAMA_HOST=127.0.0.1:")
    assert max(map(len, text.splitlines())) < 100 + len(str(model))
    assert "serve" not in commands(settings(model, build=OTHERS), OTHERS)


def test_a_shell_runs_what_is_pasted(tmp_path: Path) -> None:
    """A stand-in for `ollama` writes down how it is called."""
    program = tmp_path / "my apps" / "ollama"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$1 $OLLAMA_HOST $OLLAMA_NUM_PARALLEL" >> calls\n')
    program.chmod(0o755)
    model = gguf(tmp_path / "it's $HOME \\n.gguf", "qwen35")
    build = dataclasses.replace(OWN, path=str(program))
    text = commands(settings(model, Speculation("mtp", 3)), build)
    subprocess.run(["sh", "-c", f"{text}\nwait"], cwd=tmp_path, check=True)
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    host = "127.0.0.1:11500"
    assert calls == [f"create {host} ", f"list {host} ", f"run {host} ", f"serve {host} 1"]
    modelfile = (tmp_path / "Modelfile").read_text().splitlines()
    assert modelfile[0] == f'FROM "{model}"'
    assert "PARAMETER draft_num_predict 3" in modelfile
