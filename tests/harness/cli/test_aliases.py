"""What people know from articles and other programs is understood, and said by today's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.cli.aliases import ALIASES

SWEEP = ("sweep", "--runner", "mock", "--dry-run", "--json")


def bench(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def suite_of(*arguments: str) -> tuple[dict[str, Any], str]:
    """The suite that the arguments ask for, and what was said on standard error."""
    status, out, err = bench(*SWEEP, *arguments)
    assert status == 0, err
    suite: dict[str, Any] = json.loads(out)["suite"]
    return suite, err


@pytest.mark.parametrize(
    "flag",
    [
        *("--draft-max", "--draft", "--n-predict", "--spec-draft-n-max"),
        *("--num-speculative-tokens", "--spec-tokens"),
    ],
)
def test_lengths_of_drafts(flag: str) -> None:
    suite, said = suite_of(flag, "3-5")
    assert suite["draft_tokens"] == [3, 4, 5]
    assert said.startswith(f"bench: {flag} is --draft-tokens here")
    assert len(said.splitlines()) == 1
    assert ("--max-tokens" in said) == (flag == "--n-predict")


def test_an_empty_value_is_no_absent_one() -> None:
    status, _, err = bench(*SWEEP, "--mtp", "--draft-max", "")
    assert status == 2
    assert "--draft-tokens: '' is no list of numbers" in err


def test_mtp_as_a_switch() -> None:
    suite, said = suite_of("--mtp")
    assert suite["methods"] == ["mtp"]
    assert said == "bench: --mtp is --method mtp here\n"


@pytest.mark.parametrize("flag", ["--model-draft", "-md", "--speculative-model", "--spec-model"])
def test_draft_model(flag: str) -> None:
    suite, said = suite_of(flag, "small.gguf")
    assert suite["draft_model"] == str(Path.cwd() / "small.gguf")
    assert suite["methods"] == ["draft-model"]
    assert said == f"bench: {flag} is --draft-model here\n"


@pytest.mark.parametrize(
    ("spec_type", "method"),
    [
        ("draft-simple", "draft-model"),
        ("draft", "draft-model"),
        ("draft-mtp", "mtp"),
        ("ngram-mod", "ngram-mod"),
        ("ngram_simple", "ngram-simple"),
        ("none", "none"),
    ],
)
def test_types_of_llama_cpp(spec_type: str, method: str) -> None:
    suite, _ = suite_of("--spec-type", spec_type)
    assert suite["methods"] == [method]


@pytest.mark.parametrize(
    ("spec_method", "method"),
    [("draft_model", "draft-model"), ("ngram", "ngram"), ("eagle3", "eagle3"), ("mtp", "mtp")],
)
def test_methods_of_vllm(spec_method: str, method: str) -> None:
    status, out, err = bench(*SWEEP, "--spec-method", spec_method)
    said, *_ = err.splitlines()
    assert said == "bench: --spec-method is --method here"
    if status == 0:
        assert json.loads(out)["suite"]["methods"] == [method]
    else:
        assert f"{method!r}" in err
    assert "--method: unknown method 'x-y'" in bench(*SWEEP, "--spec-method", "x_y")[2]


def test_types_with_commas_are_a_chain() -> None:
    status, _, err = bench(*SWEEP, "--spec-type", "draft-mtp,ngram-mod")
    assert status == 2
    assert "the mock has no method 'ngram-mod+mtp'" in err


@pytest.mark.parametrize("flag", ["--draft-p-min", "--p-min"])
def test_the_least_probability_is_an_option_of_the_runner(flag: str) -> None:
    status, _, err = bench(*SWEEP, "--runner-arg", "step-ms=1", flag, "0.5")
    assert status == 2
    assert err.splitlines() == [
        f"bench: {flag} is --runner-arg spec-draft-p-min here",
        *[line for line in err.splitlines() if "no option 'spec-draft-p-min'" in line],
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mtp", "--method", "ngram-mod"], "--mtp and --method set the same thing here"),
        (["--mtp", "--spec-type", "draft-mtp"], "--spec-type and --mtp set the same thing here"),
        (["--draft", "4", "--draft-tokens", "4"], "--draft and --draft-tokens set the same thing"),
        (["--draft", "4", "--draft-max", "4"], "--draft and --draft-max set the same thing here"),
        (["-md", "a", "--draft-model", "a"], "-md and --draft-model set the same thing here"),
        (
            ["--p-min", "0", "--runner-arg", "--draft-p-min=0"],
            "--p-min and --runner-arg spec-draft-p-min set the same thing here",
        ),
        (["--spec-type", "draft-x"], "--spec-type: llama.cpp has no type 'draft-x'; it has draft-"),
    ],
)
def test_what_contradicts_itself_is_one_message(arguments: list[str], words: str) -> None:
    status, out, err = bench(*SWEEP, *arguments)
    assert status == 2
    assert words in err.splitlines()[-1]
    assert not out


def test_old_spellings_are_hidden_and_todays_names_say_nothing() -> None:
    shown = bench("sweep", "--help")[1]
    words = shown.split()
    assert not [alias.flag for alias in ALIASES if alias.flag in words]
    assert "--draft-tokens" in words
    assert suite_of("--method", "mtp", "--draft-tokens", "4")[1] == ""
