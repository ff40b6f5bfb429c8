"""The suite of two builds, from the options of `bench ab`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.ab import SideOptions, ab_flags, are_the_same, is_ab, side_args
from harness.gather import gather
from harness.plan import make_plan
from harness.suite import Suite, SuiteError
from runners.base.contract import Runner

MOCK = SideOptions("mock")


def suite_of(
    baseline: SideOptions = MOCK, candidate: SideOptions = MOCK, **flags: Any
) -> tuple[Suite, dict[str, Runner]]:
    given = ab_flags(baseline, candidate, flags, threshold=0.05)
    return gather(None, given, side_args(baseline, candidate))


def test_two_builds_and_plain_decoding() -> None:
    suite, runners = suite_of()
    plan = make_plan(suite, runners)
    assert [(arm.id, arm.runner, arm.label) for arm in plan.arms] == [
        ("baseline-none", "baseline", "plain"),
        ("candidate-none", "candidate", "plain"),
    ]
    assert plan.arms[1].counterpart == "baseline-none"
    assert is_ab(suite)
    assert are_the_same(suite)
    assert (suite.name, suite.threshold) == ("ab", 0.05)


@pytest.mark.parametrize(
    ("flags", "least", "most"),
    [
        ({}, 6, 40),
        ({"max_rounds": 12}, 6, 12),
        ({"max_rounds": 4}, 4, 4),
        ({"repeats": 9}, 9, 9),
        ({"repeats": 2}, 2, 2),
        ({"repeats": 9, "max_rounds": 20}, 9, 20),
    ],
)
def test_rounds(flags: dict[str, Any], least: int, most: int) -> None:
    suite, _ = suite_of(**flags)
    assert (suite.least_rounds, suite.most_rounds) == (least, most)


def test_each_side_has_options_of_its_own() -> None:
    one = SideOptions("mock", ["step-ms=1", "write=step"])
    other = SideOptions("mock", ["step-ms=2"])
    suite, runners = suite_of(one, other, methods=("mtp",), draft_tokens="2")
    plan = make_plan(suite, runners)
    assert {arm.runner: dict(arm.options)["step-ms"] for arm in plan.arms} == {
        "baseline": 1,
        "candidate": 2,
    }
    # Whatever the options are, each arm stands beside the same method of the other side.
    beside = {arm.id: arm.counterpart for arm in plan.arms if arm.counterpart}
    assert [(key.split("-")[1], value.split("-")[1]) for key, value in beside.items()] == [
        ("none", "none"),
        ("mtp", "mtp"),
    ]
    assert not are_the_same(suite)


def test_a_draft_model_is_a_method_and_methods_may_be_named() -> None:
    assert ab_flags(MOCK, MOCK, {}, threshold=0.05)["methods"] == ("none",)
    assert "methods" not in ab_flags(MOCK, MOCK, {"draft_model": ("d",)}, threshold=0.05)
    named = ab_flags(MOCK, MOCK, {"methods": ("mtp",)}, threshold=0.05)
    assert named["methods"] == ("mtp",)


def test_servers_that_run_take_no_method() -> None:
    one, other = (SideOptions(f"endpoint=http://127.0.0.1:{port}/v1") for port in (9, 19))
    suite, _ = suite_of(one, other)
    assert suite.methods == ()
    assert suite.runners["candidate"].program == "http://127.0.0.1:19/v1"
    assert not are_the_same(suite)


def test_paths_are_absolute_and_names_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert SideOptions("llama.cpp=./b/llama-server").build("") == {
        "runner": "llama.cpp",
        "program": str(tmp_path / "b/llama-server"),
    }
    assert SideOptions("vllm = vllm").build("") == {"runner": "vllm", "program": "vllm"}
    assert SideOptions().build("") == {"runner": "llama.cpp"}
    # What follows the first = is the program's.
    assert SideOptions("vllm=a=b").build("")["program"] == "a=b"


@pytest.mark.parametrize(
    ("runner", "words"),
    [
        ("llamacpp", "--candidate-runner: there is no runner 'llamacpp'; did you mean llama.cpp"),
        ("./llama-server", "as in llama.cpp=./llama-server"),
        ("", "there is no runner ''"),
        ("vllm=", "no program behind the ="),
        ("endpoint=http://me:secret@host/v1", "--candidate-runner"),
    ],
)
def test_no_such_runner(runner: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite_of(MOCK, SideOptions(runner))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
