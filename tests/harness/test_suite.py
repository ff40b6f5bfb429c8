from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gather import gather
from harness.suite import SuiteError, make_suite, parse_numbers, read_suite


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
    ("settings", "words"),
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
        ({"args": {"threads": {}}}, "args: "),
    ],
)
def test_what_is_wrong_is_said_with_its_key(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        make_suite(settings, "suite.toml")
    text = str(caught.value)
    assert words in text
    assert all(line.startswith("suite.toml: ") for line in text.splitlines())
    assert len(text.splitlines()) <= 5


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
