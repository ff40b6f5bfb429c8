from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.compare import side
from harness.compare.side import read_sides
from harness.machine.fingerprint import Machine
from harness.records import PromptInfo
from tests.harness.builders import MACHINE, make_arm
from tests.harness.compare.runs import write

BOTH = {"none": 50.0, "ngram-mod-k4": 80.0}
SLOWER = {"none": 40.0, "ngram-mod-k4": 80.0}


def bench(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_runs(tmp_path: Path) -> None:
    before, after = write(tmp_path / "a", BOTH), write(tmp_path / "b", SLOWER)
    untouched = files(tmp_path)
    code, out, _ = bench(before, after, "--json")
    assert code == 0
    told = json.loads(out)
    assert [trial["verdict"] for trial in told["trials"]] == ["slower", "no difference"]
    rate = told["trials"][0]["decode_rate"]
    assert rate["low"] < 0.8 < rate["high"]
    assert told["trials"][0]["answers"] == {"same": 12, "compared": 12}
    assert (told["schema_version"], told["paired"], told["differences"]) == (1, False, [])
    assert "bench ab" in told["remarks"][0]
    assert "slower" in bench(before, after)[1]
    assert files(tmp_path) == untouched


def test_a_second_process_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = write(tmp_path / "a", BOTH), write(tmp_path / "b", SLOWER)
    expected = read_sides(str(before), str(after))
    monkeypatch.setattr(side, "LARGE", 0)
    assert read_sides(str(before), str(after)) == expected
    with (after / "samples.jsonl").open("a") as file:
        file.write("{}\n")
    code, out, told = bench(before, after)
    assert (code, out) == (2, "")
    assert "line 25: not a sample" in told


def test_two_arms_of_one_run(tmp_path: Path) -> None:
    run = write(tmp_path / "a", BOTH)
    told = json.loads(bench(f"{run}:plain", f"{run}:ngram-mod", "--json")[1])
    assert told["paired"]
    assert [one["what"] for one in told["differences"]] == ["method", "draft tokens"]
    (trial,) = told["trials"]
    assert trial["verdict"] == "faster"
    assert trial["candidate"]["acceptance_length"] == 2


def test_a_run_that_holds_both_sides(tmp_path: Path) -> None:
    arms = [make_arm(id=name, runner=name, baseline=name) for name in ("baseline", "candidate")]
    run = write(tmp_path / "ab", {"baseline": 50, "candidate": 45}, arms)
    told = json.loads(bench(run, "--json")[1])
    assert [trial["verdict"] for trial in told["trials"]] == ["slower"]
    assert told["paired"]


def test_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("run"), BOTH)
    code, out, _ = bench("run:none", "run:ngram-mod", "--markdown")
    assert code == 0
    golden = Path(__file__).parent / "comparison.md"
    assert out == golden.read_text("utf-8")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = "<b>[red]\x1b[31m|x"
    arms = [make_arm(options=(("note", name),)), make_arm(id="other", baseline="other")]
    run = write(tmp_path / "a", {"none": 50, "other": 50}, arms)
    for view in ((), ("--markdown",)):
        code, out, _ = bench(f"{run}:none", f"{run}:other", *view)
        assert code == 0
        assert "\x1b[31m" not in out
        assert ("<b>" in out) == (view == ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": MACHINE.model_copy(update={"cpu": "Another"})}, "processor: A Processor agai"),
        ({"temperature": 0.7}, "temperature: 0 against 0.7"),
    ],
)
def test_what_forbids_needs_force(
    tmp_path: Path, changes: dict[str, Machine | float], words: str
) -> None:
    before, after = write(tmp_path / "a", BOTH), write(tmp_path / "b", BOTH, **changes)
    code, out, told = bench(before, after)
    assert (code, out) == (2, "")
    assert words in told
    assert "--force" in told
    code, out, _ = bench(before, after, "--force")
    assert code == 0
    assert "only because of --force" in out


def test_another_model_forbids_and_a_version_does_not(tmp_path: Path) -> None:
    before = write(tmp_path / "a", BOTH)
    after = write(tmp_path / "b", BOTH, decodebench="9.9")
    assert "decodebench" in bench(before, after)[1]
    manifest = after / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace("ab" * 32, "ff" * 32), "utf-8")
    code, _, told = bench(before, after)
    assert code == 2
    assert "model: target.gguf" in told


def test_only_prompts_of_the_same_text_are_compared(tmp_path: Path) -> None:
    changed = tuple(
        PromptInfo(workload="coding", id=p, kind="code", sha256=digest)
        for p, digest in (("p1", "p1" * 32), ("p2", "ee" * 32))
    )
    before, after = write(tmp_path / "a", BOTH), write(tmp_path / "b", BOTH, prompts=changed)
    told = json.loads(bench(before, after, "--json")[1])
    assert told["trials"][0]["pairs"] == 6
    (difference,) = told["differences"]
    assert difference["baseline"] == "2, of which 1 are compared"


def test_bad_input(tmp_path: Path) -> None:
    run, other = write(tmp_path / "a", BOTH), write(tmp_path / "b", BOTH)
    empty = tmp_path / "empty"
    empty.mkdir()
    bare = write(tmp_path / "bare", {})
    schema = write(tmp_path / "schema", BOTH)
    text = (schema / "manifest.json").read_text("utf-8")
    (schema / "manifest.json").write_text(
        text.replace('"schema_version": 1', '"schema_version": 7'), "utf-8"
    )
    damaged = write(tmp_path / "damaged", BOTH)
    with (damaged / "samples.jsonl").open("a") as file:
        file.write("{}\n")
    lonely = write(tmp_path / "lonely", {"none": 50.0}, [make_arm()])
    alone = tmp_path / "alone"
    write(alone, {"ngram-mod-k8": 50.0}, [make_arm("ngram-mod", 8, baseline="ngram-mod-k8")])
    untouched = files(tmp_path)
    for arguments, words in (
        ([tmp_path / "missing", run], "there is no folder"),
        ([run / "manifest.json", run], "is a file: give the folder of a run"),
        ([empty, run], "holds no run"),
        ([bare, run], "holds no sample"),
        ([run, schema], "has schema version"),
        ([run, damaged], "line 25: not a sample"),
        ([f"{run}:ngram-mob", other], "did you mean ngram-mod"),
        ([run], "is no run of bench ab"),
        ([run, run], "in common"),
        ([f"{run}:none", f"{run}:none"], "in common"),
        ([run, alone], "no trial in common"),
        ([run, other, "--json", "--markdown"], "choose one"),
    ):
        code, out, told = bench(*arguments)
        assert (code, out) == (2, ""), (arguments, told)
        assert words in told
    assert bench(lonely, run)[0] == 0
    assert files(tmp_path) == untouched


def test_a_half_written_line_is_left_out_and_said(tmp_path: Path) -> None:
    before, after = write(tmp_path / "a", BOTH), write(tmp_path / "b", BOTH)
    with (after / "samples.jsonl").open("a") as file:
        file.write('{"arm": "no')
    code, out, _ = bench(before, after)
    assert code == 0
    assert "half-written and left out" in out
