"""Launches as the arguments of SGLang's server, and what of them is refused."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.base.contract import LaunchSpec, Missing, OptionValue, UsageError
from runners.base.help import Flag, Help
from runners.base.speculation import METHODS, Speculation, SyntheticAcceptance
from runners.endpoint.launched import Build
from runners.sglang import build as building
from runners.sglang import runner
from runners.sglang.build import describe, parse_help
from runners.sglang.methods import support_of
from runners.sglang.runner import OURS, Sglang
from tests.runners.endpoint.programs import help_text, model_folder, sglang

TODAY = sglang()
Options = tuple[tuple[str, OptionValue], ...]
ANY: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> Sglang:
    monkeypatch.setattr(runner, "describe", lambda program: TODAY)
    for name in [name for name in os.environ if name.startswith("SGLANG_")]:
        monkeypatch.delenv(name)
    return Sglang("/e/sglang")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "a model")


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("drafts") / "-draft")


def words_of(
    folder: Path, speculation: Speculation | None = None, *options: tuple[str, OptionValue]
) -> list[str]:
    spec = LaunchSpec(folder, speculation or Speculation(), options, context=2048, seed=7)
    return list(Sglang().launch(spec, TODAY, "config.yaml").words)


def test_plain_decoding(folder: Path) -> None:
    assert words_of(folder) == [
        *("--model-path", str(folder), "--context-length", "2048", "--random-seed", "7"),
        *("--max-running-requests", "4", "--disable-radix-cache", "--sampling-defaults", "openai"),
        *("--enable-metrics", "--enable-cache-report", "--log-level-http", "warning"),
    ]


@pytest.mark.parametrize("k", [1, 3, 16])
@pytest.mark.parametrize(
    ("method", "algorithm"),
    [("draft-model", "STANDALONE"), ("eagle", "EAGLE"), ("eagle3", "EAGLE3"), ("mtp", "NEXTN")],
)
def test_a_chain_of_drafts(folder: Path, draft: Path, method: str, algorithm: str, k: int) -> None:
    """SGLang counts the token that the drafts follow among the tokens of a verification."""
    assert words_of(folder, Speculation(method, k, draft))[len(words_of(folder)) :] == [
        *("--speculative-algorithm", algorithm, "--speculative-draft-model-path", str(draft)),
        *("--speculative-num-steps", str(k), "--speculative-eagle-topk", "1"),
        *("--speculative-num-draft-tokens", str(k + 1)),
    ]


def test_heads_of_the_model_itself(folder: Path) -> None:
    words = words_of(folder, Speculation("mtp", 2))
    assert words[words.index("--speculative-draft-model-path") + 1] == str(folder)


def test_n_grams_are_a_chain_unless_a_tree_is_asked_for(folder: Path) -> None:
    ngram = Speculation("ngram", 8)
    plain = words_of(folder)
    assert words_of(folder, ngram)[len(plain) :] == [
        *("--speculative-algorithm", "NGRAM", "--speculative-num-draft-tokens", "9"),
        *("--speculative-ngram-max-bfs-breadth", "1"),
    ]
    tree = words_of(folder, ngram, ("speculative_ngram_max_bfs_breadth", 4))
    assert tree.count("--speculative-ngram-max-bfs-breadth") == 1
    assert tree[-2:] == ["--speculative-ngram-max-bfs-breadth", "4"]


def test_blocks(folder: Path, draft: Path) -> None:
    plain = len(words_of(folder))
    assert words_of(folder, Speculation("dflash", 15, draft))[plain:] == [
        *("--speculative-algorithm", "DFLASH", "--speculative-draft-model-path", str(draft)),
        *("--speculative-num-draft-tokens", "16"),
    ]
    assert words_of(folder, Speculation("dspark", 7, draft))[plain:] == [
        *("--speculative-algorithm", "DSPARK", "--speculative-draft-model-path", str(draft)),
        *("--speculative-dspark-block-size", "7"),
    ]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_supported_or_refused_with_words(
    folder: Path, draft: Path, method: str
) -> None:
    support = support_of(method, TODAY)
    assert support.method == method
    if method == "none":
        return
    if support.supported:
        assert "--speculative-algorithm" in words_of(folder, Speculation(method, 2, draft))
    else:
        with pytest.raises(UsageError, match=f"cannot speculate by '{method}'"):
            words_of(folder, Speculation(method, 2, draft))


def test_a_build_without_an_algorithm(folder: Path, draft: Path) -> None:
    """Older builds list their algorithms, or lack the flags of those that came later."""
    names = ["speculative-draft-model-path", "speculative-num-steps"]
    flags = [Flag(name, (name,), None, "X") for name in names]
    choices = Flag(
        "speculative-algorithm", ("speculative-algorithm",), None, "{EAGLE,EAGLE3,NEXTN,STANDALONE}"
    )
    old = Build(("sglang", "serve"), "0.5.0", Help((*flags, choices)))
    assert [m for m in METHODS if m != "none" and support_of(m, old).supported] == [
        *("draft-model", "mtp", "eagle", "eagle3")
    ]
    bare = Build(("sglang", "serve"), "0.1", Help(tuple(flags)))
    assert not any(support_of(m, bare).supported for m in METHODS if m != "none")


def test_simulated_acceptance(folder: Path, draft: Path) -> None:
    synthetic = SyntheticAcceptance(length=2.5)
    spec = LaunchSpec(folder, Speculation("eagle3", 4, draft, synthetic))
    assert Sglang().launch(spec, TODAY, "").variables == {
        "SGLANG_SIMULATE_ACC_LEN": "2.5",
        "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
    }
    assert "SGLANG_SIMULATE_ACC_LEN=2.5" in Sglang().reproduce(spec)
    rates = SyntheticAcceptance(rates=(0.9, 0.5))
    for speculation in (
        Speculation("eagle3", 2, draft, rates),
        Speculation("ngram", 4, None, synthetic),
    ):
        with pytest.raises(UsageError, match="simulate"):
            words_of(folder, speculation)


def test_simulated_acceptance_of_somebody_elses_is_not_inherited(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGLANG_SIMULATE_ACC_LEN", "3")
    monkeypatch.setenv("SGLANG_ENABLE_JIT_DEEPGEMM", "0")
    monkeypatch.setenv("SGLANG_ADMIN_KEY", "secret")
    assert "SGLANG_SIMULATE_ACC_LEN" not in Sglang().kept_variables(TODAY)
    said = Sglang().reproduce(LaunchSpec(folder))
    assert said.startswith("SGLANG_ENABLE_JIT_DEEPGEMM=0 /e/sglang serve --model-path ")


def test_options_by_the_servers_own_names(folder: Path) -> None:
    plain = len(words_of(folder))
    assert words_of(folder, None, ("mem-fraction-static", 0.8), ("--tensor_parallel_size", 2))[
        plain:
    ] == [
        *("--mem-fraction-static", "0.8", "--tp-size", "2"),
    ]
    assert words_of(folder, None, ("trust_remote_code", True))[plain:] == ["--trust-remote-code"]
    assert words_of(folder, None, ("trust-remote-code", "off"))[plain:] == []
    assert words_of(folder, None, ("enable-tf32-matmul", False))[-1] == "--no-enable-tf32-matmul"
    longer = words_of(folder, None, ("context-length", 8192))
    assert longer.count("--context-length") == 1
    assert longer[-1] == "8192"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((("mem-fraction-statik", 0.8),), "did you mean mem-fraction-static"),
        ((("disable-radix-cache", "off"),), "is set by bench: a cached prompt"),
        ((("speculative-draft-model", "x"),), "is set by --draft-model"),
        ((("model", "x"),), "is set by --model"),
        ((("trust-remote-code", "maybe"),), "cannot be 'maybe': expected on or off"),
        ((("speculative-token-map", "x"),), "means nothing to plain decoding"),
    ],
)
def test_options_that_are_refused(folder: Path, options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        words_of(folder, None, *options)


@pytest.mark.parametrize("method", ["draft-model", "eagle", "eagle3", "dflash", "dspark"])
def test_a_method_without_its_draft(folder: Path, method: str) -> None:
    with pytest.raises(UsageError, match="needs --draft-model"):
        words_of(folder, Speculation(method, 2))


def test_models_that_are_none(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "x.gguf").write_text("")
    for path in (None, tmp_path / "none", tmp_path / "x.gguf", tmp_path):
        with pytest.raises(UsageError):
            Sglang().launch(LaunchSpec(path), TODAY, "")
    with pytest.raises(UsageError, match="--draft-model"):
        words_of(folder, Speculation("eagle3", 2, tmp_path))


def test_which_options_a_method_looks_at() -> None:
    applies = Sglang().applies
    assert applies("mem-fraction-static", "none")
    assert not applies("speculative-token-map", "none")
    assert applies("speculative-token-map", "eagle3")
    assert applies("speculative-ngram-max-trie-depth", "ngram")
    assert not applies("speculative-ngram-max-trie-depth", "eagle3")
    assert not applies("speculative-draft-window-size", "ngram")


def test_every_flag_that_is_ours_exists() -> None:
    known = {text for flag in TODAY.help.flags for text in flag.spellings}
    assert set(OURS) <= known


def test_the_help_for_other_models_is_not_read() -> None:
    text = help_text("sglang", "0.5.23")
    both = f"{text}\n--- Help for Diffusion Model Server ---\noptions:\n  --num-gpus N\n"
    assert not parse_help(both).has("num-gpus")
    with pytest.raises(UsageError, match="lists none of a SGLang server's flags"):
        parse_help("usage: another\n  --port PORT\n")


def test_the_python_of_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module serves in every version; what it says of itself is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "help").write_text(help_text("sglang", "0.5.23"))
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -I ]; then echo 0.5.23; exit; fi\n'
        f"echo asked >> '{tmp_path}/asked'\ncat '{tmp_path}/help'\n"
    )
    python.chmod(0o755)
    found = describe(str(python))
    assert isinstance(found, Build)
    assert found.words == (str(python), "-m", "sglang.launch_server")
    assert found.version == "0.5.23"
    building._describe.cache_clear()
    assert describe(str(python)) == found
    assert (tmp_path / "asked").read_text() == "asked\n"
    python.write_text("#!/bin/sh\nexit 1\n")
    building._describe.cache_clear()
    missing = describe(str(python))
    assert isinstance(missing, Missing)
    assert "SGLang is not installed there" in missing.reason


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = describe(None)
    assert isinstance(missing, Missing)
    assert "--sglang" in missing.advice
    assert isinstance(describe("no-such-sglang serve"), Missing)


@given(st.text(max_size=30), st.one_of(st.text(max_size=20), st.integers(), st.booleans()))
@settings(max_examples=80, **ANY)
def test_any_option_is_taken_or_refused(folder: Path, name: str, value: OptionValue) -> None:
    with contextlib.suppress(UsageError):
        assert words_of(folder, None, (name, value))[:2] == ["--model-path", str(folder)]


@given(st.text(max_size=40))
@settings(max_examples=40, **ANY)
def test_what_is_pasted_is_what_was_launched(folder: Path, value: str) -> None:
    spec = LaunchSpec(folder, Speculation("mtp", 2), (("tokenizer-path", value),))
    words = Sglang().launch(spec, TODAY, "").words
    assert shlex.split(Sglang().reproduce(spec)) == [*TODAY.words, *words]
