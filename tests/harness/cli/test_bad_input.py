"""Everything that a user can get wrong: one clear message, status 2, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from tests.harness.builders import make_arm, make_launch, make_run, make_sample
from tests.harness.models.gguf_files import dense, with_mtp, write
from tests.models.export import Family


def bench(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "none.gguf"], "none.gguf does not exist"),
        (["--llama-server", ""], "--llama-server: string should have at least 1 character"),
        (["--runner", "mock", "--synthetic-acceptance", "x"], "--synthetic-acceptance: expected"),
        (
            ["--runner", "mock", "--method", "mtp", "--synthetic-acceptance", "2.5"],
            "the mock draws no acceptance",
        ),
        (["--runner", "mock", "--method", "ngram-mod+mtp"], "no method 'ngram-mod+mtp'"),
        (["--runner", "mock,lama.cpp"], "unknown runner 'lama.cpp'; did you mean llama.cpp?"),
        (["--runner", ","], "--runner: needs at least one value"),
        (["--runner", "mlx"], "no model: give one with --model: mlx reads an MLX folder or a Hu"),
        (["--runner", "mock", "--model", "a", "--model", "b"], "--model a: does not exist"),
        (
            ["--runner", "mock", "--runner-arg", "mlx:a=1"],
            "this sweep has no runner 'mlx'; known: mo",
        ),
        (["--runner", "lama.cpp"], "unknown runner 'lama.cpp'; did you mean llama.cpp?"),
        (
            ["--method", "ngram-smple"],
            "--method: unknown method 'ngram-smple'; did you mean ngram-",
        ),
        (["--runner", "mock", "--method", "medusa"], "medusa"),
        (["--runner", "mock", "--workload", "codin"], "Did you mean coding?"),
        (["--runner", "mock", "--draft-tokens", "0"], "--draft-tokens: "),
        (
            ["--runner", "mock", "--method", "none", "--draft-tokens", "2,4"],
            "--draft-tokens goes with methods, and none is named",
        ),
        (["--runner", "mock", "--draft-tokens", "-1"], "--draft-tokens: '-1' is no list"),
        (["--runner", "mock", "--draft-tokens", "abc"], "--draft-tokens: 'abc' is no list"),
        (["--runner", "mock", "--prompts", "some"], "--prompts: expected a number from 1 on"),
        (["--runner", "mock", "--repeats", "0"], "--repeats: "),
        (["--runner", "mock", "--runner-arg", "step-m=1"], "no option 'step-m'"),
        (["--runner", "mock", "--runner-arg", "step-ms=fast"], "step-ms"),
        (["--runner", "mock", "--runner-arg", "=1"], "expected NAME=VALUE"),
        (["--runner", "mock", "--runner-arg", "step-ms=inf"], "--runner-arg step-ms: expected a "),
        (["--runner", "mock", "--prompts", "²"], "--prompts: expected a number from 1 on"),
        (["--runner", "mock", "--prompts", "1" * 5000], "--prompts: expected a number from 1 on"),
        (["--runner", "mock", "--draft-tokens", "510-530"], "--draft-tokens: input should be less"),
        (["--runner", "mock", "--workload", "x" * 300], "File name too long"),
        (["--runner", "mock", "--out", "x" * 300], "File name too long"),
        (["--resume", "x" * 300], "File name too long"),
        (["--model", "x" * 300], "File name too long"),
        (["--model", "~nosuchuser/x.gguf"], "--model: '~nosuchuser/x.gguf': "),
        (["--draft-model", "~nosuchuser/x.gguf"], "--draft-model: '~nosuchuser/x.gguf': "),
        (["--url", "http://me:sk-1@h/v1"], "--url: a URL with a user or a password in it would"),
        (
            ["--url", "http://a", "--url", "http://b"],
            "--url takes one server; several are named in",
        ),
        (["--url", "nothing"], "not an address that starts with http:// or https://"),
        (["--url", "http://h", "--api-key-env", "sk-1"], "--api-key-env: expected the name of the"),
        (["--url", "http://h", "--runner-arg", "api_key=sk-1"], "the value of 'api_key' would sta"),
        (["--url", "http://h", "--model", "a.gguf"], "--model: endpoint is a server that already"),
        (["--runner", "endpoint"], "no URL is named; name it: --url http://localhost:8080/v1"),
        (["none.toml"], "there is no suite file none.toml"),
        (["--resume", "."], "holds no run"),
        (["--resume", ".", "--out", "x"], "leave SUITE and --out away"),
    ],
)
def test_one_message_and_status_2(arguments: list[str], words: str) -> None:
    status, out, err = bench("sweep", *arguments)
    assert status == 2
    assert words in err
    assert err.startswith("bench: ")
    assert len(err.splitlines()) <= 3
    assert "sk-1" not in err
    assert not out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"just a text\n", "is not a GGUF file"),
        (b"", "none.gguf"),
        (b"GGUF\x03\x00\x00\x00\xff\xff\xff\xff", "none.gguf"),
    ],
)
def test_files_that_are_no_model(content: bytes, words: str) -> None:
    Path("none.gguf").write_bytes(content)
    status, _, err = bench("sweep", "--model", "none.gguf")
    assert status == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_model_that_is_cut_off(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", dense())
    Path("cut.gguf").write_bytes(whole.read_bytes()[:-100])
    status, _, err = bench("sweep", "--model", "cut.gguf")
    assert status == 2
    assert "is cut off" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no prompts"),
        ("not json\n", "line 1 is not JSON"),
        ('{"prompt": "fine"}\n{"prmpt": "not"}\n', "line 2"),
    ],
)
def test_workload_files(content: str, words: str) -> None:
    Path("mine.jsonl").write_text(content)
    status, _, err = bench("sweep", "--runner", "mock", "--workload", "mine.jsonl")
    assert status == 2
    assert words in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("runner = ", "suite.toml is no valid TOML"),
        ('runner = "mock"\nrepeat = 3\n', "suite.toml: repeat: unknown key; did you mean repeats?"),
        ('runner = "mock"\nargs = 3\n', "suite.toml: args: "),
        ('runner = "mock"\n[args]\nstep-ms = []\n', "args, step-ms: needs at least one value"),
        ('runner = "mock"\ndraft_tokens = [[1]]\n', "suite.toml: draft_tokens: "),
        ('runner = "mock"\nworkloads = [["coding"]]\n', "suite.toml: workloads: "),
        ('model = "~nosuchuser/x.gguf"\n', "suite.toml: model: '~nosuchuser/x.gguf'"),
        ('runner = "mock"\n[[arm]]\ndraft_tokens = 2\n', "[[arm]] number 1: an arm with draft_"),
        ('runner = "mock"\n[[arm]]\nmethod = "x"\n', "[[arm]] number 1, method: unknown method"),
    ],
)
def test_suite_files(content: str, words: str) -> None:
    Path("suite.toml").write_text(content)
    status, _, err = bench("sweep", "suite.toml")
    assert status == 2
    assert words in err


def test_out_that_exists_is_left_alone() -> None:
    Path("kept").mkdir()
    status, _, err = bench("sweep", "--runner", "mock", "--out", "kept")
    assert status == 2
    assert "kept exists already" in err
    assert not list(Path("kept").iterdir())


def test_out_below_a_file() -> None:
    Path("file").touch()
    status, _, err = bench("sweep", "--runner", "mock", "--out", "file/run")
    assert status == 2
    assert "cannot write to file/run" in err


def test_what_a_file_name_smuggles_in_is_shown_harmless() -> None:
    status, _, err = bench("sweep", "--model", "\x1b[31mred.gguf")
    assert status == 2
    assert "\x1b" not in err


def test_report_of_a_damaged_run(tmp_path: Path) -> None:
    run = make_run([make_arm()], [])
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text(run.manifest.model_dump_json())
    (folder / "samples.jsonl").write_text('{"arm": 1}\n')
    status, _, err = bench("report", folder)
    assert status == 2
    assert "samples.jsonl, line 1: not a sample" in err


def test_unknown_option_and_command() -> None:
    assert bench("sweep", "--bogus")[0] == 2
    assert bench("frobnicate")[0] == 2


def test_help_and_version() -> None:
    status, out, _ = bench("--help")
    assert status == 0
    assert "Exit status" in out
    for command in ("sweep", "report", "doctor"):
        assert command in out
        assert bench(command, "--help")[0] == 0
    status, out, _ = bench("--version")
    assert status == 0
    assert out.startswith("decodebench ")


def test_plan_as_json_measures_nothing(tmp_path: Path) -> None:
    status, out, _ = bench(
        "sweep",
        "--runner",
        "mock",
        "--method",
        "mtp",
        "--draft-tokens",
        "1-3",
        "--dry-run",
        "--json",
    )
    assert status == 0
    plan = json.loads(out)
    assert [arm["id"] for arm in plan["arms"]] == ["none", "mtp-k1", "mtp-k2", "mtp-k3"]
    assert plan["requests"] == 4 * 3 * 8
    assert plan["trials"] == 4 * 2
    assert not list(tmp_path.iterdir())


def test_a_plan_for_a_runner_that_needs_no_model_reads_none() -> None:
    status, out, _ = bench("sweep", "--runner", "mock", "--model", "none.gguf", "--dry-run")
    assert status == 0
    assert "time unknown: the runner invents its answers" in out


def test_a_plan_shows_names_of_files_as_harmless_text() -> None:
    name = ":smile:\x1b[31m[red].jsonl"
    Path(name).write_text('{"prompt": "Say yes."}\n')
    status, out, _ = bench("sweep", "--runner", "mock", "--workload", name, "--dry-run")
    assert status == 0
    assert "\x1b" not in out
    assert ":smile: [31m[red].jsonl" in out


TOKENS = {"tokenizer.ggml.tokens": [f"t{number}" for number in range(9)]}


def test_a_plan_says_what_cannot_work_and_what_is_shortened(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", with_mtp(heads=3), integers={"nextn_predict_layers": 3})
    command = ("sweep", "--model", "m.gguf", "--draft-tokens", "2-6", "--dry-run")
    methods = ("--method", "mtp,draft-model,ngram-cache")
    status, out, _ = bench(*command, *methods)
    text = " ".join(out.split())
    assert status == 0
    assert "mtp-k3: asked for k=3, 4, 5, 6: at most 3 here (the model's chained MTP heads)" in text
    assert "ngram-cache-k8: asked for k=2, 3, 4, 5, 6: always 8 here (built into the" in text
    assert "cannot work: draft-model k=2, 3, 4, 5, 6: no --draft-model is given" in text
    assert "4 arms in 3 rounds: 12 launches" in text
    plan = json.loads(bench(*command, *methods, "--json")[1])
    by_id = {arm["id"]: arm for arm in plan["arms"]}
    assert by_id["mtp-k3"]["asked"] == [3, 4, 5, 6]
    assert "no --draft-model" in by_id["draft-model-k2"]["impossible"]


def test_nothing_that_can_work_is_status_2_with_the_reasons(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", dense(), arrays=TOKENS)
    write(tmp_path / "d.gguf", dense(), arrays={"tokenizer.ggml.tokens": ["a"] * 200})
    status, out, err = bench(
        "sweep", "--model", "m.gguf", "--draft-model", "d.gguf", "--method", "mtp,draft-model"
    )
    assert status == 2
    assert not out
    assert "mtp k=2, 4, 8: m.gguf holds no MTP heads" in err
    assert "d.gguf has another vocabulary than m.gguf: it has 200 tokens, the target 9" in err
    assert len(err.splitlines()) == 3
    assert not (tmp_path / "results").exists()


def test_a_runner_without_its_model_is_a_row_of_the_report_beside_the_others(
    tmp_path: Path,
) -> None:
    sweep = [
        *("sweep", "--runner", "mock", "--runner", "llama.cpp", "--model", "none.gguf"),
        *("--method", "mtp", "--draft-tokens", "2", "--workload", "coding", "--prompts", "1"),
        *("--repeats", "1", "--max-tokens", "4", "--runner-arg", "mock:step-ms=1"),
    ]
    status, out, err = bench(*sweep, "--out", "run")
    missing = f"{tmp_path / 'none.gguf'} does not exist"
    assert status == 1
    assert err.startswith(f"bench: left out, since it cannot work: llama.cpp: {missing}\n")
    assert missing.replace(" ", "") in "".join(out.split())
    rows = json.loads(bench(*sweep, "--out", "again", "--json")[1])
    assert [(row["arm"]["id"], row["ok"], row["failure"]) for row in rows] == [
        ("mock-none", 1, None),
        ("mock-mtp-k2", 1, None),
        ("llama.cpp-none", 0, missing),
        ("llama.cpp-mtp-k2", 0, missing),
    ]
    assert rows[3]["arm"]["counterpart"] == "mock-mtp-k2"
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert [runner["name"] for runner in manifest["runners"]] == ["mock", "llama.cpp"]
    assert manifest["models"] == []
    # Nothing has changed, so there is nothing left to do.
    assert bench("sweep", "--resume", "run")[0] == 1
    status, _, err = bench("sweep", "--resume", "run", "--runner", "mock")
    assert status == 2
    assert "runner: was mock, llama.cpp, is now mock" in err


def test_a_plan_of_several_runners_says_what_each_measures(family: Family) -> None:
    status, out, _ = bench(
        *("sweep", "--runner", "mock,llama.cpp", "--method", "mtp", "--dry-run"),
        *("--model", family.qwen35_mtp, "--model", family.qwen35_mtp_hf),
    )
    assert status == 0
    assert f"llama.cpp, beside mock: {family.qwen35_mtp.name} (a GGUF file)" in out


def test_what_cannot_work_is_a_row_of_the_report_with_its_reason(tmp_path: Path) -> None:
    arms = [
        make_arm(),
        make_arm("mtp", 2, impossible="m.gguf holds no MTP heads"),
        make_arm("ngram-cache", 8, asked=(2, 4), limit="built into the runner"),
    ]
    measured = [arms[0], arms[2]]
    run = make_run(
        arms, [make_sample(arm) for arm in measured], launches=[make_launch(a) for a in measured]
    )
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text(run.manifest.model_dump_json())
    for name, records in (("samples", run.samples), ("launches", run.launches)):
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    status, out, _ = bench("report", folder)
    assert status == 1
    assert "m.gguf holds no MTP heads" in " ".join(out.split())
    page = (folder / "report.md").read_text()
    assert "not measured" not in page
    assert "asked for k=2, 4: always 8 here (built into the runner)" in page


def failing_run(folder: Path, *, measured: bool) -> Path:
    """A run whose first launch failed; later it was measured, or never."""
    arm = make_arm()
    samples = [make_sample(arm)] if measured else []
    lost = make_launch(arm, status="failed", reason="it did not start")
    run = make_run([arm], samples, launches=[lost])
    folder.mkdir()
    (folder / "manifest.json").write_text(run.manifest.model_dump_json())
    for name, records in (("samples", run.samples), ("launches", run.launches)):
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    return folder


def test_a_report_of_a_run_that_failed_is_status_1(tmp_path: Path) -> None:
    status, out, _ = bench("report", failing_run(tmp_path / "run", measured=False))
    assert status == 1
    assert "it did not start" in " ".join(out.split())
    assert "status 1" in " ".join(bench("report", "--help")[1].replace("│", "").split())


def test_a_launch_that_failed_before_all_was_measured_is_status_0(tmp_path: Path) -> None:
    assert bench("report", failing_run(tmp_path / "run", measured=True))[0] == 0


def test_requests_that_are_still_missing_are_status_1(tmp_path: Path) -> None:
    run = failing_run(tmp_path / "run", measured=True)
    file = run / "manifest.json"
    file.write_text(file.read_text().replace('"repeats":1', '"repeats":2'))
    assert bench("report", run)[0] == 1


def test_a_report_shows_the_path_of_a_run_as_harmless_text(tmp_path: Path) -> None:
    status, out, _ = bench("report", failing_run(tmp_path / ":smile:\x1b[31m", measured=True))
    assert status == 0
    assert "\x1b" not in out
    assert ":smile: [31m/report.html" in out


def test_plan_as_a_table() -> None:
    status, out, _ = bench("sweep", "--runner", "mock", "--method", "mtp", "--dry-run")
    assert status == 0
    assert "4 arms in 3 rounds: 12 launches" in out
    assert "mtp k=8" in out
