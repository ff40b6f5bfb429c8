"""`bench gate`: its exit statuses, its outputs, and what a user can get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from harness.cli.__main__ import app
from harness.cli.errors import INCONCLUSIVE
from tests.harness.builders import MACHINE
from tests.harness.gate.runs import LOUD, ab_run, single_run, times


@pytest.fixture(autouse=True)
def _outside_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def bench(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    result = CliRunner().invoke(app, ["gate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def unframed(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_what_passes_is_status_0(tmp_path: Path) -> None:
    status, out, err = bench(ab_run(tmp_path / "run"))
    assert (status, err) == (0, "")
    assert out.startswith("PASSED: none of 2 decode rates lost more than 5%\n")


def test_what_regresses_is_status_1(tmp_path: Path) -> None:
    status, out, _ = bench(ab_run(tmp_path / "run", change=times(decode_rate=0.85)))
    assert status == 1
    assert out.startswith("REGRESSED: decode rate of plain · coding -15.0%")


def test_what_cannot_be_told_is_status_3(tmp_path: Path) -> None:
    status, out, _ = bench(ab_run(tmp_path / "run", noise=LOUD))
    assert status == INCONCLUSIVE == 3
    assert out.startswith("INCONCLUSIVE: 2 of 2 decode rates")
    assert bench(ab_run(tmp_path / "short", rounds=2))[0] == 3


@pytest.mark.parametrize(("threshold", "status"), [("2%", 1), ("0.02", 1), ("20%", 0), ("0.2", 0)])
def test_the_threshold_is_a_percentage_or_a_share(
    tmp_path: Path, threshold: str, status: int
) -> None:
    run = ab_run(tmp_path / "run", change=times(decode_rate=0.9))
    assert bench(run, "--threshold", threshold)[0] == status


@pytest.mark.parametrize("threshold", ["5", "0", "0%", "100%", "-5%", "nan", "five", "5%%", ""])
def test_a_threshold_of_nonsense_is_refused(tmp_path: Path, threshold: str) -> None:
    status, out, err = bench(ab_run(tmp_path / "run"), f"--threshold={threshold}")
    assert (status, out) == (2, "")
    assert "is no share above 0% and below 100%, such as 5% or 0.05" in unframed(err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --baseline and --candidate, or a RUN that holds both sides"),
        (["--baseline", "one"], "give --baseline and --candidate, or a RUN"),
        (["--candidate", "one"], "give --baseline and --candidate, or a RUN"),
        (["one", "--baseline", "one"], "give a RUN that holds both sides, or --baseline and"),
        (["none"], "there is no folder none"),
        (["one"], "one is no run of bench ab"),
        (["empty"], "holds no run"),
        (["--baseline", "one", "--candidate", "one:tgi"], "no runner, setting or method 'tgi'"),
        (["--baseline", "one", "--candidate", "one"], "in common"),
        (["--baseline", "one", "--candidate", "newer"], "newer/manifest.json has schema version 9"),
        (["--baseline", "one", "--candidate", "elsewhere"], "Another Processor"),
    ],
)
def test_what_cannot_be_judged_is_status_2_in_words(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    single_run(tmp_path / "one")
    single_run(
        tmp_path / "elsewhere", machine=MACHINE.model_copy(update={"cpu": "Another Processor"})
    )
    manifest = single_run(tmp_path / "newer") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version":1', '"schema_version":9'))
    (tmp_path / "empty").mkdir()
    status, out, err = bench(*arguments)
    assert (status, out) == (2, "")
    assert words in unframed(err)


def test_force_judges_what_differs_too_much(tmp_path: Path) -> None:
    one = single_run(tmp_path / "one")
    other = single_run(
        tmp_path / "two", machine=MACHINE.model_copy(update={"cpu": "Another Processor"})
    )
    status, out, _ = bench("--baseline", one, "--candidate", other, "--force")
    assert status == 0
    assert "Another Processor" in out
    assert "which makes a ratio meaningless" in " ".join(out.split())
    assert "two runs were compared" in out


def test_two_settings_of_one_run_are_judged(tmp_path: Path) -> None:
    run = single_run(tmp_path / "run")
    status, out, _ = bench("--baseline", f"{run}:none", "--candidate", f"{run}:draft-model")
    assert status == 0
    assert "Improved: decode rate" in out


def test_every_output_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ab_run(tmp_path / "run", change=times(decode_rate=0.85))
    page, xml, summary = (tmp_path / name for name in ("gate.md", "gate.xml", "summary.md"))
    page.write_text("older")
    summary.write_text("begun before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    status, out, err = bench(run, "--json", "--markdown", page, "--junit", xml)
    assert status == 1
    # Standard output is JSON and nothing else.
    assert json.loads(out)["decision"] == "regressed"
    assert err.startswith("::error title=bench gate%3A regressed::REGRESSED")
    assert page.read_text().startswith("## ❌ REGRESSED")
    assert summary.read_text() == f"begun before\n{page.read_text()}"
    assert ET.parse(xml).getroot().tag == "testsuites"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gate.md",
        "gate.xml",
        "run",
        "summary.md",
    ]


def test_annotations_are_printed_where_they_are_asked_for(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run")
    assert "::notice" not in bench(run)[2]
    assert bench(run, "--annotations")[2].startswith("::notice title=bench gate%3A passed::PASSED")


@pytest.mark.parametrize("option", ["--markdown", "--junit"])
def test_a_file_that_cannot_be_written_is_status_1_and_leaves_nothing(
    tmp_path: Path, option: str
) -> None:
    run = ab_run(tmp_path / "run")
    status, out, err = bench(run, option, tmp_path / "none" / "file")
    assert status == 1
    assert out.startswith("PASSED")
    assert err.startswith(f"bench: cannot write {tmp_path / 'none' / 'file'}: No such file")
    taken = tmp_path / "taken"
    taken.mkdir()
    assert bench(run, option, taken)[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "taken"]


def test_a_summary_that_cannot_be_written_is_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "file"))
    status, _, err = bench(ab_run(tmp_path / "run"))
    assert status == 1
    assert "cannot write the summary" in err


def test_a_file_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.md").write_text("older")
    (tmp_path / "link.md").symlink_to("real.md")
    assert bench(ab_run(tmp_path / "run"), "--markdown", "link.md")[0] == 0
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text().startswith("## ✅ PASSED")


def test_a_run_is_left_as_it_was(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    bench(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_help_tells_the_exit_statuses() -> None:
    status, out, _ = bench("--help")
    assert status == 0
    words = "0 passed, 1 regressed (or an output file that cannot be written), 2 wrong usage"
    assert words in unframed(out)
