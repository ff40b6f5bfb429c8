"""Every view holds any text harmlessly, and says what was decided."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.analysis.statistics import Interval
from harness.compare.matching import Difference
from harness.gate.decide import Change, Decision, Sight
from harness.gate.gate import gate
from harness.gate.verdict import Figure, Gate, Row
from harness.gate.views import annotations, junit, markdown, text
from harness.gate.views import json as json_view
from tests.harness.gate.runs import ab_run, times
from tests.harness.report.hostile import HOSTILE

SLOWER = Row(
    trial="plain · coding",
    figure=Figure.DECODE_RATE,
    decision=Decision.REGRESSED,
    change=Change.WORSE,
    baseline=50.0,
    candidate=40.0,
    ratio=0.8,
    interval=Interval(0.78, 0.82),
    rounds=6,
    sight=Sight(0.08, 3),
)
OPEN = replace(SLOWER, decision=Decision.INCONCLUSIVE, interval=Interval(0.7, 1.1))
FINE = replace(SLOWER, decision=Decision.PASSED, change=Change.BETTER, ratio=1.2)
LATE = replace(OPEN, figure=Figure.TTFT)
PARTED = Row("mtp k=2", Figure.LOSSLESS, Decision.INCONCLUSIVE, reason="not probed")

texts = st.text(max_size=30) | st.sampled_from(
    [HOSTILE, "::error::x", "##[error]x", "a|b\n|c", "%0A", "a,b:c", "]]>", "\x00\ufffe\ud800"]
)


def of(*rows: Row, decision: Decision = Decision.REGRESSED, words: str = "a") -> Gate:
    return Gate(
        decision=decision,
        baseline=words,
        candidate=words,
        threshold=0.05,
        error_rate=0.01,
        paired=True,
        smallest=0.08,
        rounds=3,
        command=words,
        differences=(Difference(words, words, words, forbids=True),),
        unmatched=(words,),
        remarks=(words,),
        rows=rows,
    )


def hostile(words: str) -> Gate:
    """Every text of it is the same."""
    return of(
        *(replace(one, trial=words, reason=words) for one in (SLOWER, OPEN, FINE, LATE, PARTED)),
        words=words,
    )


def shown(found: Gate, width: int = 130) -> str:
    file = io.StringIO()
    text.show(found, Console(file=file, width=width))
    return file.getvalue()


@settings(max_examples=60, deadline=None)
@given(texts)
def test_any_text_survives_xml(words: str) -> None:
    root = ET.fromstring(junit.render(hostile(words)))
    cases = root.findall("./testsuite/testcase")
    assert len(cases) == 5
    printed = [c for c in words if c.isprintable() and c != " "]
    for case in cases:
        assert [c for c in case.attrib["classname"] if c in printed] == printed
        (child,) = case
        assert all(c in (child.text or child.attrib["message"]) for c in printed)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_any_text_stays_in_its_cell_of_a_markdown_table(words: str) -> None:
    lines = markdown.render(hostile(words)).split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("| trial |"))
    table = lines[start : start + 7]
    for line in table:
        assert line.startswith("| ")
        assert line.endswith(" |")
        assert len(re.findall(r"(?<!\\)\|", line)) == 9
    assert lines[start + 7] == ""
    assert sum(line.startswith("#") for line in lines) == 1


@settings(max_examples=60, deadline=None)
@given(texts)
def test_any_text_stays_in_its_annotation(words: str) -> None:
    rendered = annotations.render(hostile(words))
    assert rendered.endswith("\n")
    for line in rendered[:-1].split("\n"):
        assert re.fullmatch(r"::(error|warning|notice) title=[^,:\r\n]*::[^\r\n]*", line), line
        assert len(line.splitlines()) == 1
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", line)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_no_text_in_a_log_is_a_command_to_the_workflow(words: str) -> None:
    for output in (
        shown(hostile(words)),
        shown(hostile(words), 40),
        json_view.render(hostile(words)),
    ):
        assert "##[" not in output
        assert not any(line.lstrip().startswith("::") for line in output.splitlines())
        assert "\x1b" not in output


@settings(max_examples=60, deadline=None)
@given(texts)
def test_any_text_survives_json(words: str) -> None:
    found = json.loads(json_view.render(hostile(words)))
    assert found["rows"][0]["reason"] == words
    assert found["remarks"] == [words]


def test_json_has_the_fields_that_the_page_tells(tmp_path: Path) -> None:
    found = json.loads(json_view.render(gate(str(ab_run(tmp_path / "run")), threshold=0.05)))
    page = (Path(__file__).parents[3] / "docs/gate.md").read_text()
    assert found["schema_version"] == json_view.SCHEMA_VERSION
    assert found["decision"] == "passed"
    for name in (*found, *found["rows"][0], *found["rows"][0]["sight"]):
        assert f"`{name}`" in page, name


def test_junit_counts_and_says_what_failed() -> None:
    root = ET.fromstring(junit.render(of(SLOWER, OPEN, FINE)))
    suite = root.find("testsuite")
    assert root.tag == "testsuites"
    assert suite is not None
    counts = {name: suite.attrib[name] for name in ("tests", "failures", "skipped", "errors")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    assert [[child.tag for child in case] for case in suite.findall("testcase")] == [
        ["failure"],
        ["skipped"],
        ["system-out"],
    ]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib == {
        "type": "regression",
        "message": "decode rate: regressed, 50.0 tok/s to 40.0 tok/s, -20.0% [-22.0%, -18.0%]",
    }
    case = suite.find("testcase")
    assert case is not None
    assert (case.attrib["classname"], case.attrib["name"]) == ("plain · coding", "decode rate")


def test_annotations_name_what_matters_and_no_more() -> None:
    quiet = replace(of(SLOWER, OPEN, FINE, LATE, PARTED), differences=(), unmatched=(), remarks=())
    lines = annotations.render(quiet).splitlines()
    assert [line.split("::")[1] for line in lines] == [
        "error title=bench gate%3A regressed",
        "error title=plain · coding",
        "warning title=plain · coding",
        "warning title=mtp k=2",
        "notice title=plain · coding",
    ]
    assert "-20.0%25" in lines[1]
    passed = annotations.render(replace(quiet, decision=Decision.PASSED, rows=()))
    assert passed.startswith("::notice title=bench gate%3A passed::PASSED")


@pytest.mark.parametrize(
    ("paired", "forbids", "level"),
    [(True, False, "notice"), (False, False, "warning"), (True, True, "warning")],
)
def test_a_difference_is_a_warning_where_nobody_asked_for_it(
    paired: bool, forbids: bool, level: str
) -> None:
    found = replace(
        of(), paired=paired, differences=(Difference("option threads", "8", "7", forbids),)
    )
    assert f"::{level} title=bench gate::differs in option threads: 8 and 7" in (
        annotations.render(found)
    )


def test_more_annotations_than_are_shown_are_counted() -> None:
    rows = [replace(SLOWER, trial=f"t{number}") for number in range(30)]
    lines = annotations.render(of(*rows)).splitlines()
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    # 31 with the verdict, of which nine are shown.
    assert errors[-1].endswith("::22 more of this kind: see the job's summary")


def test_a_summary_stays_below_what_github_takes() -> None:
    rows = [replace(SLOWER, trial=f"t{number}") for number in range(900)]
    page = markdown.render(of(*rows))
    assert "and 400 more rows, none of them worse" in page
    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize(
    ("factor", "words"), [(0.8, "## ❌ REGRESSED"), (1.0, "## ✅ PASSED"), (0.95, "## ⚠️ INCONC")]
)
def test_a_page_begins_with_the_verdict(tmp_path: Path, factor: float, words: str) -> None:
    run = ab_run(tmp_path / "run", change=times(decode_rate=factor))
    assert markdown.render(gate(str(run), threshold=0.05)).startswith(words)


def test_the_terminal_tells_verdict_figures_and_power(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run", change=times(decode_rate=0.85), only="draft")
    told = shown(gate(str(run), threshold=0.05))
    assert told.startswith("REGRESSED: decode rate of draft-model k=4 · coding -15.0%\n")
    assert re.search(r"decode rate +80.0 tok/s +68.0 tok/s +-15.0% \[-15.5%, -14.5%\]", told)
    assert "With 6 rounds, a loss of decode rate of 5.8% or more" in told
    # The trial that regressed stands before the one that did not.
    assert told.index("\n\ndraft-model k=4 · coding") < told.index("\n\nplain · coding")
