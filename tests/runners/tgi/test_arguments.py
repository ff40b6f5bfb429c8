"""Launches as the arguments of TGI's launcher, and what of them is refused."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.base.contract import LaunchSpec, Missing, OptionValue, UsageError
from runners.base.speculation import METHODS, Speculation, SyntheticAcceptance
from runners.base.support import LengthLimit
from runners.endpoint.launched import Build
from runners.tgi import build as building
from runners.tgi import runner
from runners.tgi.build import describe, environment
from runners.tgi.runner import OURS, Tgi
from tests.runners.endpoint.programs import help_text, model_folder, tgi

TODAY = tgi()
Options = tuple[tuple[str, OptionValue], ...]
ANY: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "describe", lambda program: TODAY)
    monkeypatch.delenv("ATTENTION", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "a model")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    path = tmp_path_factory.mktemp("heads") / "medusa"
    return model_folder(path, medusa_num_heads=4, base_model_name_or_path=str(folder))


def words_of(
    folder: Path, speculation: Speculation | None = None, *options: tuple[str, OptionValue]
) -> list[str]:
    spec = LaunchSpec(folder, speculation or Speculation(), options, context=2048, seed=7)
    launch = Tgi().launch(spec, TODAY, "config.yaml")
    assert launch.variables == {"PREFIX_CACHING": "0"}
    return list(launch.words)


def test_plain_decoding(folder: Path) -> None:
    assert words_of(folder) == [
        *("--model-id", str(folder), "--max-input-tokens", "2047", "--max-total-tokens", "2048"),
        *("--usage-stats", "off"),
    ]


@pytest.mark.parametrize("k", [1, 2, 9])
def test_n_grams(folder: Path, k: int) -> None:
    assert words_of(folder, Speculation("ngram", k)) == [*words_of(folder), "--speculate", str(k)]


@pytest.mark.parametrize("k", [1, 4])
def test_medusa_heads_name_their_model(folder: Path, heads: Path, k: int) -> None:
    words = words_of(folder, Speculation("medusa", k, heads))
    assert words[:2] == ["--model-id", str(heads)]
    assert words[-2:] == ["--speculate", str(k)]


def test_heads_that_do_not_fit(tmp_path: Path, folder: Path, heads: Path) -> None:
    with pytest.raises(UsageError, match="its 4 heads draft 4 tokens at most"):
        words_of(folder, Speculation("medusa", 5, heads))
    for number, base in enumerate(("lmsys/vicuna-7b-v1.3", str(tmp_path), 3, None)):
        other = model_folder(
            tmp_path / str(number), medusa_num_heads=4, base_model_name_or_path=base
        )
        with pytest.raises(UsageError, match="takes the model from base_model_name_or_path"):
            words_of(folder, Speculation("medusa", 1, other))
    with pytest.raises(UsageError, match="has no medusa_num_heads"):
        words_of(folder, Speculation("medusa", 1, model_folder(tmp_path / "model")))
    with pytest.raises(UsageError, match="needs --draft-model"):
        words_of(folder, Speculation("medusa", 1))


def test_heads_as_a_model_would_speculate_when_nobody_asked(tmp_path: Path, heads: Path) -> None:
    mlp = model_folder(tmp_path / "mlp", model_type="mlp_speculator")
    for path in (heads, mlp):
        for speculation in (Speculation(), Speculation("ngram", 2)):
            with pytest.raises(UsageError, match="would use them in plain decoding too"):
                words_of(path, speculation)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"none", "ngram", "medusa"}))
def test_no_other_method(folder: Path, heads: Path, method: str) -> None:
    with pytest.raises(UsageError, match=f"cannot speculate by '{method}'"):
        words_of(folder, Speculation(method, 2, heads))


def test_what_it_says_of_its_methods() -> None:
    support = {method: Tgi().support(method, TODAY) for method in METHODS}
    assert [m for m, said in support.items() if said.supported] == ["none", "medusa", "ngram"]
    assert support["medusa"].limit is LengthLimit.MEDUSA_HEADS


def test_synthetic_acceptance(folder: Path) -> None:
    drawn = Speculation("ngram", 2, None, SyntheticAcceptance(length=2))
    with pytest.raises(UsageError, match="no --synthetic-acceptance"):
        words_of(folder, drawn)


def test_options_by_the_servers_own_names(folder: Path) -> None:
    assert words_of(folder, None, ("--dtype", "bfloat16"), ("num_shard", 2))[-4:] == [
        *("--dtype", "bfloat16", "--num-shard", "2"),
    ]
    longer = words_of(folder, None, ("max-total-tokens", 4096), ("max-input-tokens", 4000))
    assert longer.count("--max-total-tokens") == longer.count("--max-input-tokens") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((("max-total-token", 1),), "did you mean max-total-tokens"),
        ((("speculate", 3),), "is set by --method and --draft-tokens"),
        ((("p", 1),), "is set by bench"),
        ((("env", True),), "it only prints"),
    ],
)
def test_options_that_are_refused(folder: Path, options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        words_of(folder, None, *options)


def test_variables_that_set_flags_are_not_inherited(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPECULATE=3 of an image or a shell would make plain decoding speculate."""
    for name in ("SPECULATE", "MODEL_ID", "QUANTIZE", "PORT", "LOG_LEVEL"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("ATTENTION", "flashdecoding")
    kept = environment(TODAY)
    assert not {"SPECULATE", "MODEL_ID", "QUANTIZE", "PORT", "LOG_LEVEL"} & set(kept)
    assert kept["ATTENTION"] == "flashdecoding"
    said = Tgi().reproduce(LaunchSpec(folder))
    assert said.startswith("ATTENTION=flashdecoding PREFIX_CACHING=0 /e/tgi --model-id ")


def test_every_flag_that_is_ours_exists() -> None:
    assert set(OURS) <= {text for flag in TODAY.help.flags for text in flag.spellings}


def test_the_launcher_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "help").write_text(help_text("tgi", "3.3.7"))
    launcher = tmp_path / "launcher"
    launcher.write_text(
        "#!/bin/sh\n"
        "if [ $1 = --version ]; then echo text-generation-launcher 3.3.7; exit; fi\n"
        f"cat '{tmp_path}/help'\n"
    )
    launcher.chmod(0o755)
    found = describe(str(launcher))
    assert isinstance(found, Build)
    assert (found.words, found.version) == ((str(launcher),), "3.3.7")
    assert found.help == TODAY.help
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho nothing\n")
    other.chmod(0o755)
    building._describe.cache_clear()
    missing = describe(str(other))
    assert isinstance(missing, Missing)
    assert "lists none of a TGI server's flags" in missing.reason


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = describe(None)
    assert isinstance(missing, Missing)
    assert "--tgi" in missing.advice


@given(st.text(max_size=30), st.one_of(st.text(max_size=20), st.integers(), st.booleans()))
@settings(max_examples=80, **ANY)
def test_any_option_is_taken_or_refused(folder: Path, name: str, value: OptionValue) -> None:
    with contextlib.suppress(UsageError):
        assert words_of(folder, None, (name, value))[:2] == ["--model-id", str(folder)]


@given(
    st.dictionaries(
        st.sampled_from(["medusa_num_heads", "base_model_name_or_path", "model_type"]),
        st.one_of(st.integers(), st.text(max_size=20), st.none(), st.lists(st.integers())),
    )
)
@settings(max_examples=60, **ANY)
def test_any_configuration_of_heads(
    folder: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    other = model_folder(tmp_path / "other", **config)
    for speculation in (Speculation("medusa", 1, other), Speculation("medusa", 1, folder)):
        with pytest.raises(UsageError):
            words_of(folder, speculation)


@given(st.text(max_size=40))
@settings(max_examples=40, **ANY)
def test_what_is_pasted_is_what_was_launched(folder: Path, value: str) -> None:
    spec = LaunchSpec(folder, Speculation("ngram", 2), (("tokenizer-config-path", value),))
    words = Tgi().launch(spec, TODAY, "").words
    assert shlex.split(Tgi().reproduce(spec)) == ["PREFIX_CACHING=0", *TODAY.words, *words]
