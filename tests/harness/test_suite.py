from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gather import gather
from harness.suite import ArmSpec, Suite, SuiteError, make_suite, parse_numbers
from harness.suite_file import read_suite


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


def test_draft_model_alone_means_that_it_drafts() -> None:
    suite, _ = gather(None, {"runner": "mock", "draft_model": "small.gguf"}, [])
    assert suite.methods == ("draft-model",)


@pytest.mark.parametrize("text", ["", "=3", "threads=", "threads= "])
def test_runner_arg_that_is_none(text: str) -> None:
    with pytest.raises(SuiteError, match="expected NAME=VALUE"):
        gather(None, {"runner": "mock"}, [text])
