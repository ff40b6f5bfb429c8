"""A model in several packagings, as a suite and as flags name it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.packagings import Packagings, SameModels
from harness.suite import Suite, SuiteError, make_suite
from harness.suite_file import model_of_flags, read_suite
from runners.base.packaging import Packaging

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


def folder(path: Path, config: dict[str, Any]) -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


# ---- in a suite ------------------------------------------------------------------------------


def test_paths_of_a_table_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(
        """
        model = { gguf = "q.gguf", hf = "~/Q" }
        draft_model = { mlx = "/models/d" }
        [[arm]]
        model = { mlx = "other" }
        """
    )
    suite = make_suite(read_suite(file), str(file))
    assert suite.model == Packagings(gguf=tmp_path / "q.gguf", hf=Path.home() / "Q")
    assert suite.draft_model == Packagings(mlx=Path("/models/d"))
    assert suite.arm[0].model == Packagings(mlx=tmp_path / "other")


@given(st.dictionaries(st.sampled_from([p.value for p in Packaging]), PATHS, min_size=1))
def test_a_table_survives_being_written_down(table: dict[str, str]) -> None:
    suite = make_suite({"model": table, "arm": [{"draft_model": table, "method": "eagle"}]})
    assert isinstance(suite.model, Packagings)
    assert {packaging.value: str(path) for packaging, path in suite.model.given} == {
        key: str(Path(path)) for key, path in table.items()
    }
    assert Suite.model_validate_json(suite.model_dump_json()) == suite
    assert make_suite(suite.model_dump()) == suite


def test_suites_of_before_packagings_and_several_runners_can_be_read() -> None:
    old = {"runner": "mock", "model": "m.gguf", "arm": [{"runner": None, "model": None}]}
    suite = Suite.model_validate_json(json.dumps(old))
    assert suite.runner == ("mock",)
    assert suite.model == Path("m.gguf")
    assert suite.arm[0].runner == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": {}}, "model: needs a path under at least one of gguf, hf, mlx"),
        ({"model": {"ggf": "x"}}, "model, ggf: unknown key; did you mean gguf?"),
        ({"model": {"gguf": 3}}, "model, gguf: expected a path, not 3"),
        ({"model": 3}, "model: expected a path, not 3"),
        ({"model": ["a"]}, "model: expected a path, not ['a']"),
        ({"arm": [{"draft_model": {"x": 1}}]}, "[[arm]] number 1, draft_model, x: unknown key"),
        ({"runner": []}, "runner: needs at least one value"),
        ({"runner": 3}, "runner: input should be a valid tuple, not 3"),
        ({"runners": {"vllm": {"args": {"a": []}}}}, "[runners.vllm], args, a: needs at least"),
        ({"runners": {"vllm": {"arg": {}}}}, "[runners.vllm], arg: unknown key; did you mean args"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        make_suite(wrong, "suite.toml")
    assert str(caught.value).startswith(f"suite.toml: {words}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_home_of_nobody_is_said_with_its_packaging(tmp_path: Path) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('model = { hf = "~nosuchuser/a" }')
    with pytest.raises(SuiteError, match=r"model, hf: '~nosuchuser/a': "):
        read_suite(file)


# ---- as flags ---------------------------------------------------------------------------------


def test_one_path_is_not_looked_at(tmp_path: Path) -> None:
    assert model_of_flags(tmp_path, ["none"], "--model") == str(tmp_path / "none")


def test_several_paths_are_sorted_by_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    folder(tmp_path / "b", {"quantization": {"bits": 4}})
    folder(tmp_path / "c", {})
    expected = {"gguf": str(tmp_path / "a"), "mlx": str(tmp_path / "b"), "hf": str(tmp_path / "c")}
    assert model_of_flags(tmp_path, ["a", "b", "c"], "--model") == expected
    assert model_of_flags(tmp_path, ["c", "a", "b"], "--model") == expected


def test_paths_that_cannot_be_sorted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder(tmp_path / name, {})
    with pytest.raises(SuiteError) as caught:
        model_of_flags(tmp_path, ["a", "b"], "--draft-model")
    assert str(caught.value).startswith(
        "--draft-model a and --draft-model b are both a Hugging Face folder: "
    )
    with pytest.raises(SuiteError, match=r"^--model none: does not exist$"):
        model_of_flags(tmp_path, ["a", "none"], "--model")


# ---- which paths are one model ------------------------------------------------------------------


def test_paths_of_one_entry_are_one_model() -> None:
    models = SameModels(
        [
            Packagings(gguf=Path("a"), hf=Path("b")),
            Packagings(gguf=Path("a"), mlx=Path("c")),
            Path("d"),
            None,
        ]
    )
    assert models.same("a", "b")
    assert models.same("c", "a")
    # In one entry each, which are two models.
    assert not models.same("b", "c")
    assert not models.same("a", "d")
    assert models.same("elsewhere", "elsewhere")
    assert models.same(None, None)
    assert not models.same("a", None)
    assert not models.several(["a", "b", "a"])
    assert models.several(["a", None])
    assert models.several(["a", "d"])
    assert not models.several([None])


ENTRIES = st.lists(st.builds(Packagings, gguf=PATHS.map(Path), hf=PATHS.map(Path)), max_size=4)


@given(entries=ENTRIES, paths=st.lists(PATHS, min_size=2, max_size=2))
def test_sameness_goes_both_ways_and_needs_an_entry(
    entries: list[Packagings], paths: list[str]
) -> None:
    models = SameModels(entries)
    one, other = paths
    of_entries = [{str(path) for _, path in entry.given} for entry in entries]
    assert models.same(one, other) == models.same(other, one)
    assert models.same(one, other) == (
        one == other or any({one, other} <= entry for entry in of_entries)
    )
    for entry in of_entries:
        assert not models.several(entry)
