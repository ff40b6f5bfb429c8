from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from tests.harness.models.gguf_files import dense, total, write
from tests.models.export import Family


def bench(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_json(family: Family) -> None:
    options = ("--draft-model", family.draft, "--context", 100, "--cache-type-k", "q8_0", "--json")
    code, out, _ = bench(family.qwen3, *options)
    assert code == 0
    told = json.loads(out)
    assert told["cache"]["context"] == 100
    assert (told["cache"]["key_type"], told["cache"]["value_type"]) == ("q8_0", "f16")
    assert told["draft"]["fitness"]["reason_against"] is None
    assert told["room"][0]["memory"]["name"] == "main memory"
    assert told["facts"]["active_bytes"] == sum(row["read_bytes"] for row in told["weights"])


def test_any_part_stands_for_the_whole(tmp_path: Path) -> None:
    whole = dense()
    for number in (1, 2):
        part = dict(list(whole.items())[number - 1 :: 2])
        path = tmp_path / f"m-{number:05}-of-00002.gguf"
        write(path, part, integers={"split.count": 2, "block_count": 2})
    for number in (1, 2):
        code, out, _ = bench(tmp_path / f"m-{number:05}-of-00002.gguf", "--json")
        assert code == 0
        told = json.loads(out)
        assert (told["files"], told["facts"]["active_bytes"]) == (2, total(whole))
    (tmp_path / "m-00001-of-00002.gguf").unlink()
    code, out, err = bench(tmp_path / "m-00002-of-00002.gguf")
    assert (code, out) == (2, "")
    assert "does not exist: part 1 of the 2" in err
    assert err.startswith("bench: ")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "does not exist"), (b"hello", "is not a GGUF file")]
)
def test_what_is_no_model(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    code, out, err = bench(path)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    code, out, err = bench(tmp_path)
    assert (code, out) == (2, "")
    assert "a folder without a config.json" in err


def test_a_draft_that_is_no_model(family: Family, tmp_path: Path) -> None:
    code, _, err = bench(family.qwen3, "--draft-model", tmp_path / "none.gguf")
    assert code == 2
    assert "none.gguf does not exist" in err


@pytest.mark.parametrize(
    "options",
    [
        ("--context", "0"),
        ("--context", "-5"),
        ("--context", "1000000000000"),
        ("--cache-type-v", "q9_9"),
    ],
)
def test_wrong_options(family: Family, options: tuple[str, str]) -> None:
    code, _, err = bench(family.qwen3, *options)
    assert code == 2
    assert options[0] in err
    assert "Traceback" not in err
