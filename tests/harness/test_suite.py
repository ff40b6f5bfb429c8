from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gather import gather
from harness.suite import (
    ArmSpec,
    RunnerSpec,
    Suite,
    SuiteError,
    make_suite,
)
from harness.suite_file import anchored_program, read_suite
from harness.suite_values import parse_numbers
from runners.base.contract import UsageError
from runners.base.speculation import SyntheticAcceptance


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("4", (4,)), ("1-4,6,8", (1, 2, 3, 4, 6, 8)), (" 2 , 1-3 ", (2, 1, 3)), ("0", (0,))],
)
def test_lists_of_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "abc", "-1", "1-", "4-1", "1,,2", "1.5", "1-99999999", "²"])
def test_what_is_no_list_of_numbers(text: str) -> None:
    with pytest.raises(ValueError, match=r"list of numbers|backwards|too long"):
        parse_numbers(text)


@given(st.text(max_size=30))
def test_any_text_is_numbers_or_a_value_error(text: str) -> None:
    try:
        numbers = parse_numbers(text)
    except ValueError:
        return
    assert numbers
    assert all(number >= 0 for number in numbers)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True))
def test_numbers_survive_being_written_down(numbers: list[int]) -> None:
    assert parse_numbers(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"draft_tokens": "0"}, "draft_tokens: input should be greater than or equal to 1, not 0"),
        ({"draft_tokens": -1}, "greater than or equal to 1, not -1"),
        ({"draft_tokens": "abc"}, "'abc' is no list of numbers such as 4 or 1-4,6,8"),
        ({"methods": ["ngram-sample"]}, "unknown method 'ngram-sample'; did you mean ngram-simple"),
        ({"repeats": 0}, "repeats: input should be greater than or equal to 1, not 0"),
        ({"temperature": float("nan")}, "temperature: "),
        ({"max_tokens": []}, "max_tokens: needs at least one value"),
        ({"prompts": "some"}, "prompts: "),
        ({"draft-tokens": 3}, "draft-tokens: unknown key; did you mean draft_tokens?"),
        ({"name": "../../etc"}, "name: "),
        ({"arm": [{}, {"metod": "mtp"}]}, "[[arm]] number 2, metod: unknown key; did you mean"),
        ({"arm": [{"draft_tokens": [0]}]}, "[[arm]] number 1, draft_tokens: "),
        ({"args": 3}, "args: "),
        ({"args": {"threads": {}}}, "args, threads: expected a number, a text, true, false or a "),
        ({"args": {"threads": []}}, "args, threads: needs at least one value"),
        ({"args": {"threads": [1, [2]]}}, "args, threads: expected a number, a text, true, false"),
        ({"args": {"rope-freq-base": float("inf")}}, "expected a finite number, not inf"),
        ({"args": {"p-min": [0.5, float("nan")]}}, "expected a finite number, not nan"),
        ({"arm": [{"args": {"a": []}}]}, "[[arm]] number 1, args, a: needs at least one value"),
        ({"arm": [{}, {"draft_tokens": 4}]}, "[[arm]] number 2: an arm with draft_tokens needs a"),
        ({"draft_tokens": [[1]]}, "draft_tokens: "),
        ({"workloads": [["coding"]]}, "workloads: "),
        ({"methods": [{}]}, "methods: "),
        ({"prompts": "0"}, "prompts: expected a number from 1 on, or 'all', not '0'"),
        ({"prompts": "²"}, "prompts: expected a number"),
        ({"repeats": 16**5000}, "repeats: "),
        ({"name": "x" * 500}, "name: "),
        ({"synthetic_acceptance": "fast"}, "expected mean lengths such as 2.5 or rates such as"),
        ({"synthetic_acceptance": [0.5, 0.9]}, "cannot increase"),
        ({"synthetic_acceptance": "nan"}, "synthetic_acceptance: a synthetic acceptance length"),
        ({"synthetic_acceptance": True}, "synthetic_acceptance: expected mean lengths"),
        ({"synthetic_acceptance": [2, True]}, "synthetic_acceptance: expected mean lengths"),
        ({"synthetic_acceptance": {}}, "synthetic_acceptance: expected mean lengths"),
        ({"methods": ["mtp+mtp"]}, "names a method twice"),
        ({"methods": ["mtp+none"]}, "cannot stand in a chain"),
        ({"methods": ["ngram-mod+mtp+ngram-cache"]}, "is longer than 2 methods"),
        ({"arm": [{"synthetic_acceptance": 2}]}, "an arm with synthetic_acceptance needs a"),
        ({"runners": {"a": 3}}, "[runners.a]: "),
        ({"runners": {"a": {"progam": "x"}}}, "[runners.a], progam: unknown key"),
        ({"two\nlines": 1}, "two lines: unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        make_suite(wrong, "suite.toml")
    text = str(caught.value)
    assert words in text
    assert all(line.startswith("suite.toml: ") for line in text.splitlines())
    assert len(text.splitlines()) == 1
    assert len(text) < 400


def test_one_line_for_each_key_and_three_in_all() -> None:
    with pytest.raises(SuiteError) as caught:
        make_suite({"draft_tokens": "510-530", "args": {"a": [{}, {}], "b": {}}}, "suite.toml")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "draft_tokens",
        "args, a",
        "args, b",
    ]
    with pytest.raises(SuiteError) as caught:
        make_suite(dict.fromkeys("abcd", 1), "suite.toml")
    assert str(caught.value).splitlines()[1:] == [
        "suite.toml: b: unknown key; known: " + ", ".join(Suite.model_fields),
        "and 2 more keys are wrong",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
ARM_LIKE = st.dictionaries(st.sampled_from(list(ArmSpec.model_fields)), JSON, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    given_settings=st.dictionaries(
        st.sampled_from(list(Suite.model_fields)) | st.text(max_size=8),
        JSON | st.lists(ARM_LIKE, max_size=2),
        max_size=4,
    )
)
def test_any_settings_are_a_suite_or_a_suite_error(given_settings: dict[str, object]) -> None:
    try:
        suite = make_suite(given_settings, "suite.toml")
    except SuiteError as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert len(lines) <= 3
    if lines:
        return
    # What was accepted can be stored, and read back when the run goes on.
    assert Suite.model_validate_json(suite.model_dump_json()) == suite


def test_suite_file(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(
        """
        name = "kv"
        model = "models/a.gguf"
        methods = ["ngram-mod"]
        draft_tokens = "1-3"
        workloads = ["coding", "./mine.jsonl"]
        [args]
        cache-type-k = ["f16", "q8_0"]
        threads = 2
        [[arm]]
        method = "draft-model"
        draft_model = "~/small.gguf"
        draft_tokens = [4]
        """
    )
    (tmp_path / "mine.jsonl").touch()
    # A file named like a packaged workload does not take its place.
    (tmp_path / "coding").touch()
    suite = make_suite(read_suite(file), str(file))
    assert suite.model == tmp_path / "models/a.gguf"
    assert suite.workloads == ("coding", str(tmp_path / "mine.jsonl"))
    assert suite.draft_tokens == (1, 2, 3)
    assert suite.args == {"cache-type-k": ("f16", "q8_0"), "threads": 2}
    assert suite.arm[0].draft_model == Path.home() / "small.gguf"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"runner = \n", "at line 1"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = 1\na = 2\n", "is no valid TOML"),
        (b"a = " + b"1" * 5000, "is no valid TOML"),
        (b"a = " + b"[" * 5000, "is no valid TOML"),
    ],
)
def test_broken_suite_file(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_bytes(content)
    with pytest.raises(SuiteError, match=words):
        read_suite(file)


def test_missing_suite_file(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="there is no suite file"):
        read_suite(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('model = "~nosuchuser/a.gguf"', "model: '~nosuchuser/a.gguf': "),
        ('[[arm]]\ndraft_model = "~nosuchuser/a"', "[[arm]] number 1: draft_model: "),
    ],
)
def test_home_of_nobody(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(content)
    with pytest.raises(SuiteError) as caught:
        read_suite(file)
    assert str(caught.value).startswith(f"{file}: {words}")


def test_a_wrong_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('runner = "mock"\nrepeats = 2\nseed = -1\n[args]\na = []\n')
    with pytest.raises(SuiteError) as caught:
        gather(file, {"repeats": 0}, ["b=inf"])
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "--repeats",
        str(file),
        "and 2 more keys are wrong",
    ]
    with pytest.raises(SuiteError, match=r"^--runner-arg a: expected a finite number"):
        gather(None, {"runner": "mock"}, ["a=nan"])
    file.write_text("args = 3\n")
    with pytest.raises(SuiteError) as caught:
        gather(file, {}, ["a=1"])
    assert str(caught.value) == f"{file}: args: expected a table, not 3"


def test_flags_win_over_the_file_and_add_to_its_args(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('runner = "mock"\nrepeats = 5\nseed = 9\n[args]\nstep-ms = 3\nwrite = "step"\n')
    args = ["--write=token,step", "prefill-ms=2.5"]
    suite, runners = gather(file, {"repeats": 2}, args)
    assert (suite.repeats, suite.seed) == (2, 9)
    assert suite.args == {"step-ms": 3, "write": ("token", "step"), "prefill-ms": 2.5}
    assert list(runners) == ["mock"]
    # Neither says how to speculate, so the methods that need nothing are taken.
    assert suite.methods == ("ngram-simple", "ngram-mod")


def test_draft_lengths_need_something_that_drafts(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('runner = "mock"\nmethods = ["none"]\ndraft_tokens = [2]\n')
    with pytest.raises(SuiteError, match=r"s\.toml: draft_tokens goes with methods, and none is"):
        gather(file, {}, [])
    assert gather(file, {"methods": ("mtp",)}, [])[0].draft_tokens == (2,)
    file.write_text('runner = "mock"\nmethods = ["mtp"]\ndraft_tokens = [2]\n')
    plain, _ = gather(file, {"methods": ("none",)}, [])
    assert gather(None, {}, [], base=plain)[0] == plain
    with pytest.raises(SuiteError, match=r"^--draft-tokens goes with methods, and none is named$"):
        gather(file, {"methods": ("none",), "draft_tokens": "2"}, [])
    file.write_text('runner = "mock"\ndraft_tokens = [2]\n[[arm]]\nmethod = "mtp"\n')
    assert gather(file, {}, [])[0].draft_tokens == (2,)


def test_draft_model_alone_means_that_it_drafts() -> None:
    suite, _ = gather(None, {"runner": "mock", "draft_model": "small.gguf"}, [])
    assert suite.methods == ("draft-model",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.5, [SyntheticAcceptance(length=2.5)]),
        ("2,3", [SyntheticAcceptance(length=2), SyntheticAcceptance(length=3)]),
        ([0.9, 0.6], [SyntheticAcceptance(rates=(0.9, 0.6))]),
        ("0.9,0.6,0.3", [SyntheticAcceptance(rates=(0.9, 0.6, 0.3))]),
        (1, [SyntheticAcceptance(length=1)]),
        (0.5, [SyntheticAcceptance(rates=(0.5,))]),
    ],
)
def test_synthetic_acceptance(value: object, expected: list[SyntheticAcceptance]) -> None:
    suite = make_suite({"methods": ["mtp"], "synthetic_acceptance": value})
    assert list(suite.synthetic_acceptance) == expected
    assert Suite.model_validate_json(suite.model_dump_json()) == suite
    # A resumed run starts from the suite as it was.
    assert make_suite(suite.model_dump()) == suite


# ---- builds by names of their own ------------------------------------------------------------

BUILDS = """
runner = "old"
methods = ["ngram-mod"]
model = "m.gguf"
[runners.old]
runner = "llama.cpp"
program = "builds/b9093/llama-server"
[runners.on-path]
runner = "llama.cpp"
program = "llama-server"
[[arm]]
runner = "on-path"
"""


def test_builds_have_programs_relative_to_the_file_or_on_path(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(BUILDS)
    suite, runners = gather(file, {}, [])
    assert suite.runners["old"].program == str(tmp_path / "builds/b9093/llama-server")
    assert suite.runners["on-path"].program == "llama-server"
    assert list(runners) == ["old", "on-path"]


def test_a_llama_server_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {"llama_server": "build/llama-server", "model": "m.gguf"}
    suite, runners = gather(None, flags, [])
    assert suite.runners == {
        "llama.cpp": RunnerSpec(runner="llama.cpp", program=str(tmp_path / "build/llama-server"))
    }
    assert list(runners) == ["llama.cpp"]
    file = tmp_path / "suite.toml"
    file.write_text(BUILDS.replace('runner = "old"\nm', "m"))
    suite, runners = gather(file, {"llama_server": "my-server"}, [])
    assert suite.runners["llama.cpp"].program == "my-server"
    assert list(suite.runners) == ["old", "on-path", "llama.cpp"]
    assert list(runners) == ["llama.cpp", "on-path"]
    # A run goes on with the program that it began with.
    again, _ = gather(None, {}, [], base=suite)
    assert again == suite


def test_the_python_that_has_mlx_lm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {"mlx": "env/bin/python", "runner": "mlx", "model": "m", "methods": ("draft-model",)}
    suite, runners = gather(None, flags, [])
    program = str(tmp_path / "env/bin/python")
    assert suite.runners == {"mlx": RunnerSpec(runner="mlx", program=program)}
    assert list(runners) == ["mlx"]
    # A run goes on with the environment that it began with.
    again, _ = gather(None, {}, [], base=suite)
    assert again == suite


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("llama-server", "llama-server"),
        ("bin/none", "{folder}/bin/none"),
        ("bin/tool", "{folder}/bin/tool"),
        ("my bin/tool", "{folder}/my bin/tool"),
        ("bin/tool -m vllm.entrypoints", "{folder}/bin/tool -m vllm.entrypoints"),
        ("nice -n 5 bin/tool", "nice -n 5 {folder}/bin/tool"),
        ("'my bin/tool' -x /none/y", "'{folder}/my bin/tool' -x /none/y"),
        ("vllm --root=a/b  none/c", "vllm --root=a/b  none/c"),
        ("docker run o'neill/bin/tool", "docker run o'neill/bin/tool"),
    ],
)
def test_of_a_command_the_paths_to_something_become_absolute(
    tmp_path: Path, program: str, expected: str
) -> None:
    for name in ("bin", "my bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").touch()
    found = anchored_program(tmp_path, program, "--vllm")
    assert found == expected.format(folder=tmp_path)
    # Whoever goes on from another folder means the same.
    assert anchored_program(tmp_path / "bin", found, "--vllm") == found


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (('runner = "llama.cpp"\np', "p"), "[runners.old], runner: field required: which of"),
        (("llama.cpp", "lama.cpp"), "[runners.old], runner: there is no 'lama.cpp'; did you mean"),
        (("program", "progam"), "[runners.old], progam: unknown key; did you mean program?"),
        (('= "llama-server"', '= ""'), "[runners.on-path], program: "),
        (("[runners.old]", '[runners."../old"]'), "[runners.'../old']: string should match"),
        (("[runners.old]", "[runners.mock]"), "[runners.mock] is a build of llama.cpp"),
        (('[[arm]]\nrunner = "on-path"', '[[arm]]\nrunner = "on-pth"'), "did you mean on-path?"),
        (("[runners.old]", "[other]"), "other: unknown key"),
    ],
)
def test_what_is_wrong_with_a_build(tmp_path: Path, changed: tuple[str, str], words: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(BUILDS.replace(*changed))
    with pytest.raises((SuiteError, UsageError)) as caught:
        gather(file, {}, [])
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"llama_server": "", "model": "m"}, "--llama-server: string should have at least 1"),
        ({"llama_server": "~nosuchuser/x", "model": "m"}, "--llama-server: '~nosuchuser/x': "),
        ({"llama_server": "x", "runner": "mock"}, "--llama-server is for the runner llama.cpp"),
        ({"mlx": "x", "runner": "mock"}, "--mlx is for the runner mlx, which nothing here uses"),
        ({"mlx": "", "runner": "mlx", "model": "m"}, "--mlx: string should have at least 1"),
    ],
)
def test_what_is_wrong_with_a_program(flags: dict[str, str], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        gather(None, flags, [])
    assert str(caught.value).startswith(words)


def test_runners_that_are_no_table(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text("runners = 3\n")
    with pytest.raises(SuiteError) as caught:
        gather(file, {"llama_server": "x"}, [])
    assert str(caught.value) == f"{file}: runners: expected a table, not 3"


@pytest.mark.parametrize("text", ["", "=3", "threads=", "threads= "])
def test_runner_arg_that_is_none(text: str) -> None:
    with pytest.raises(SuiteError, match="expected NAME=VALUE"):
        gather(None, {"runner": "mock"}, [text])


@pytest.mark.parametrize(
    ("given", "found"), [("960GB/s", 960e9), (960e9, 960e9), ("1GiB/s", 2**30)]
)
def test_a_bandwidth_is_a_text_or_bytes_per_second(given: object, found: float) -> None:
    suite = make_suite({"bandwidth": given})
    assert suite.bandwidth == found
    # As a run that is gone on with reads it back.
    assert make_suite(suite.model_dump()).bandwidth == found


@pytest.mark.parametrize("given", ["960GB", "0GB/s", "-1GB/s", "fast", 0, -3, True, float("nan")])
def test_what_is_no_bandwidth(given: object) -> None:
    with pytest.raises(SuiteError, match="--bandwidth"):
        make_suite({"bandwidth": given})


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        ("max_rounds = 9", {}, "suite.toml: max_rounds ends a sweep that goes on until it is prec"),
        ("", {"max_rounds": 9}, "--max-rounds ends a sweep that goes on until it is prec"),
        ("precision = 0.02\nmax_rounds = 2", {}, "max_rounds: 2 rounds are fewer than the 3"),
        ("precision = 0.02\nrepeats = 9", {"max_rounds": 8}, "--max-rounds: 8 rounds are fewer"),
        ("precision = 0.02\nthreshold = 0.05", {}, "give one of them"),
        ("threshold = 0.05", {}, "two builds that are named baseline and candidate"),
        ("precision = 2", {}, "precision: input should be less than 1, not 2"),
        ("", {"precision": "2"}, "--precision: '2' is no share above 0% and below 100%"),
        ('precision = "-2%"', {}, "'-2%' is no share"),
        ("precision = true", {}, "True is no share such as 2%"),
        ("precision = 0.02\nmax_rounds = 0", {}, "max_rounds: input should be greater than"),
    ],
)
def test_how_long_to_go_on_that_makes_no_sense(
    tmp_path: Path, text: str, flags: dict[str, Any], words: str
) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(f'runner = "mock"\n{text}\n')
    with pytest.raises(SuiteError, match=re.escape(words)):
        gather(file, flags, [])


def test_how_long_to_go_on(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('runner = "mock"\nprecision = "2.5%"\nmax_rounds = 12\n')
    suite, _ = gather(file, {}, [])
    assert (suite.precision, suite.least_rounds, suite.most_rounds) == (0.025, 3, 12)
    builds = {name: {"runner": "mock"} for name in ("baseline", "candidate")}
    suite = make_suite({"runner": list(builds), "runners": builds, "threshold": ".05"})
    assert (suite.threshold, suite.least_rounds, suite.most_rounds) == (0.05, 3, 40)
