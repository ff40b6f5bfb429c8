"""`bench share` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from tests.harness.builders import make_arm, make_run, make_samples
from tests.harness.share.runs import faster_run, write_run


def bench(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["share", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", faster_run())


def test_a_row_to_paste_and_a_file(run: Path) -> None:
    code, out, err = bench(run)
    assert code == 0
    header, rule, row, empty, footnote = out.splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert empty == ""
    assert footnote.startswith("[^bench-")
    assert str(run / "share.json") in err.replace("\n", "")
    told = json.loads((run / "share.json").read_text("utf-8"))
    assert (told["row"], told["footnote"]) == (row, footnote)


def test_verified(run: Path) -> None:
    bench(run)
    assert bench("--verify", run / "share.json")[:2] == (0, "verified\n")
    assert bench("--verify", run / "share.json", run)[:2] == (0, "verified\n")


def test_it_is_written_anew(run: Path) -> None:
    assert bench(run)[0] == bench(run)[0] == 0
    assert [path.name for path in run.iterdir() if ".part" in path.name] == []


def test_a_changed_figure(run: Path) -> None:
    bench(run)
    file = run / "share.json"
    file.write_text(file.read_text("utf-8").replace('"decode_rate": 75.0', '"decode_rate": 95.0'))
    code, _, err = bench("--verify", file)
    assert code == 1
    assert "does not verify: " in err


def test_a_damaged_share_does_not_verify(run: Path) -> None:
    bench(run)
    file = run / "share.json"
    file.write_text(file.read_text("utf-8").replace('"round": 1', '"round": "one"', 1))
    code, _, err = bench("--verify", file)
    assert code == 1
    assert "does not verify: samples.0.figures.round" in err


def test_what_is_no_share_is_not_overwritten(run: Path) -> None:
    precious = run / "precious.json"
    precious.write_text("[1]")
    code, out, err = bench(run, "--out", precious)
    assert (code, out) == (2, "")
    assert "is no share" in err
    assert precious.read_text() == "[1]"


def test_several_plain_settings(tmp_path: Path) -> None:
    one, other = make_arm(), make_arm(id="vllm-none", runner="vllm", baseline="vllm-none")
    samples = [*make_samples(one, [50.0, 51.0]), *make_samples(other, [60.0, 61.0])]
    run = write_run(tmp_path / "run", make_run([one, other], samples))
    code, _, err = bench(run)
    assert code == 2
    assert "choose one with --plain, of none, vllm-none" in err.replace("\n       ", " ")
    code, out, _ = bench(run, "--plain", "vllm-none")
    assert code == 0
    assert "| vllm | coding |" in out
    code, _, err = bench(run, "--plain", "vlm-none")
    assert code == 2
    assert "did you mean vllm-none?" in err
    assert bench("--verify", run / "share.json", run)[:2] == (0, "verified\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no folder nowhere"),
        ([], "name the folder of a run"),
        (["--verify", "nowhere.json"], "cannot read nowhere.json"),
        (["--verify", "x.json", "--out", "y.json"], "goes with no option"),
    ],
)
def test_wrong_usage(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = bench(*arguments)
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_nothing_was_answered(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", make_run([make_arm()], []))
    code, _, err = bench(run)
    assert code == 2
    assert "no request has been answered" in err


def test_verify_against_what_is_no_run(run: Path, tmp_path: Path) -> None:
    bench(run)
    code, _, err = bench("--verify", run / "share.json", tmp_path)
    assert code == 2
    assert "holds no run" in err
