"""What a report says of servers that already ran, and of what they do not tell."""

from __future__ import annotations

import csv as standard_csv
import io
import json as standard_json

import pytest
from rich.console import Console

from harness.records import Sample
from harness.report import csv, html, json, markdown
from harness.report.content import Report, build_report
from harness.report.terminal import print_summary
from harness.run_folder import RunData
from tests.harness.builders import make_arm, make_launch, make_run, make_sample, make_samples
from tests.harness.runners import runner_info

PLAIN = make_arm()
SERVED = make_arm(
    "as-served",
    id="endpoint-as-served",
    runner="endpoint",
    model=None,
    baseline="endpoint-as-served",
    counterpart=PLAIN.id,
)
OTHER = SERVED.model_copy(update={"id": "b-as-served", "runner": "b", "baseline": "b-as-served"})
UNTOLD = {
    "drafted": None,
    "accepted": None,
    "steps": None,
    "accepted_per_position": None,
    "cached_tokens": None,
    "tokens": None,
    "runner_cpu_s": None,
    "machine_cpu_s": None,
    "runner_peak_memory": None,
    "bursts": ((0.0, 1), (0.64, 32), (1.28, 32)),
}
"""What no OpenAI-compatible server tells by itself."""
RATES = [60.0, 58.0, 62.0] * 2


def served(arm=SERVED, rates=RATES, **changes: object) -> list[Sample]:
    return make_samples(
        arm,
        rates,
        prompts=("p1", "p2"),
        change=lambda sample: sample.model_copy(update={**UNTOLD, **changes}),
    )


def plain() -> list[Sample]:
    return make_samples(PLAIN, [50.0, 49.0, 51.0] * 2, prompts=("p1", "p2"))


def run_of(arms, samples, **changes: object) -> RunData:
    infos = tuple(runner_info(name) for name in dict.fromkeys(arm.runner for arm in arms))
    launches = [make_launch(arm, n) for arm in arms for n in (1, 2, 3)]
    return make_run(arms, samples, **{"runners": infos, "launches": launches, **changes})


def beside(**changes: object) -> Report:
    return build_report(run_of([PLAIN, SERVED], [*plain(), *served(**changes)]))


def alone(**changes: object) -> Report:
    arm = SERVED.model_copy(update={"counterpart": None})
    return build_report(run_of([arm], served(**changes), models=()))


def cells(report: Report, setting: str = "as served") -> dict[str, str]:
    (row,) = [row for row in report.table.rows if row[0].endswith(setting)]
    return dict(zip((c.heading for c in report.table.columns), row, strict=True))


def on_terminal(report: Report) -> str:
    console = Console(width=200, file=io.StringIO(), legacy_windows=False)
    print_summary(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_server_alone_is_compared_with_nothing() -> None:
    report = alone()
    assert report.headlines == ("coding: as served 60.0 [58.0, 62.0] tok/s",)
    assert cells(report) | {"notes": ""} == {
        "setting": "as served",
        "workload": "coding",
        "tok/s [95%]": "60.0 [58.0, 62.0]",
        "acceptance": "not exposed",
        "τ": "not exposed",
        "tokens per burst": "32.00",
        "notes": "",
    }
    assert report.remarks[0].startswith("endpoint already ran: it was not started anew")
    assert "No ceiling for 1 row: which files a server that already runs has read" in "".join(
        report.remarks
    )
    assert {fact.name for fact in report.legend} >= {"as served", "tokens per burst"}
    assert "context" not in {fact.name for fact in report.method.facts}
    (runner,) = report.runners
    assert ("devices", "CPU: A Processor") in [(fact.name, fact.value) for fact in runner.facts]
    for text in (markdown.render(report, ()), html.render(report, ())):
        assert "Models" not in text
        assert "reference" not in text.split("Words")[0]


def test_devices_of_a_server_are_not_known() -> None:
    run = run_of([SERVED], served(), runners=(runner_info("endpoint", devices=()),))
    (group,) = build_report(run).runners
    assert ("devices", "not exposed") in [(fact.name, fact.value) for fact in group.facts]


def test_beside_a_runner_it_is_set_beside_plain() -> None:
    report = beside(tokens=make_sample(PLAIN).tokens)
    assert report.headlines[0].startswith(
        "coding, runners side by side: plain llama.cpp 50.0 [49.0, 51.0] tok/s; "
        "endpoint as served 1.20x ["
    )
    assert cells(report)["lossless"] == "–"
    assert cells(report)["speed-up [95%]"] == "–"
    assert cells(report, "plain")["lossless"] == "reference"
    assert cells(report, "plain")["tokens per burst"] == "–"
    table = report.side_by_side.table
    row = dict(zip((c.heading for c in table.columns), table.rows[1], strict=True))
    assert (row["setting"], row["runner"]) == ("plain", "endpoint as served")
    assert (row["start-up"], row["peak memory"]) == ("–", "not exposed")
    # Of one runner alone they are known, so there is nothing to compare.
    assert "weights" not in row
    # The runner beside it has no drafts to tell of; it may have.
    assert row["acceptance"] == "not exposed"
    assert report.side_by_side.remarks[0] == (
        "That endpoint serves the same model is your word: a server that already runs does not "
        "show its files. 6 of 6 answers are identical with those beside them, which confirms it."
    )


def test_the_first_runner_may_be_the_server() -> None:
    first = SERVED.model_copy(update={"counterpart": None})
    second = PLAIN.model_copy(update={"counterpart": first.id})
    report = build_report(run_of([first, second], [*served(), *plain()]))
    assert report.headlines[0].startswith(
        "coding, runners side by side: as served endpoint 60.0 [58.0, 62.0] tok/s; "
        "llama.cpp plain 0.83x ["
    )
    assert "6 of 6 answers are identical" in report.side_by_side.remarks[0]


def test_servers_alone_have_no_start_up() -> None:
    first = SERVED.model_copy(update={"counterpart": None})
    second = OTHER.model_copy(update={"counterpart": first.id})
    table = build_report(run_of([first, second], [*served(), *served(OTHER)])).side_by_side.table
    assert len(table.rows) == 2
    assert not {"start-up", "weights"} & {column.heading for column in table.columns}


def test_the_same_model_is_one_note_for_those_of_which_it_is_equally_sure() -> None:
    third = OTHER.model_copy(update={"id": "c", "runner": "c", "baseline": "c"})
    arms = [PLAIN, SERVED, OTHER, third]
    samples = [*plain(), *served(), *served(OTHER), *served(third, text_sha256="00" * 32)]
    remarks = [
        remark
        for remark in build_report(run_of(arms, samples)).side_by_side.remarks
        if "same model" in remark
    ]
    assert [remark.partition(" the same model")[0] for remark in remarks] == [
        "That endpoint and b serve",
        "That c serves",
    ]
    assert remarks[1].endswith(
        "0 of 6 answers are identical with those beside them, which speaks against it."
    )


def test_a_server_without_figures_has_a_headline_and_no_remarks() -> None:
    gone = make_launch(SERVED, status="failed", reason="the server cannot be used: HTTP 401")
    report = build_report(run_of([PLAIN, SERVED], plain(), launches=[gone]))
    assert "coding: endpoint · as served failed: the server cannot be used: HTTP 401" in (
        report.headlines
    )
    assert report.side_by_side.remarks == ()
    assert not any("already ran" in remark for remark in report.remarks)
    assert report.failures.rows[0][-1] == "the server cannot be used: HTTP 401"


def test_what_failed_alike_is_said_once() -> None:
    third = OTHER.model_copy(update={"id": "c", "runner": "c", "baseline": "c"})
    arms = [PLAIN, SERVED, OTHER, third]
    samples = [
        sample.model_copy(update={"workload": workload})
        for sample in [*plain(), *served()]
        for workload in ("coding", "prose")
    ]
    gone = [
        make_launch(arm, status="failed", reason=reason)
        for arm, reason in ((OTHER, "no connection"), (third, "no connection"))
    ]
    report = build_report(run_of(arms, samples, launches=gone))
    coding, prose, failures = report.headlines
    for line in (coding, prose):
        assert line.endswith("; b as served and c as served have no figures")
    assert failures == "coding, prose: b · as served and c · as served failed: no connection"


def test_what_was_not_measured_did_not_fail() -> None:
    report = build_report(run_of([PLAIN, SERVED], plain()))
    assert "coding: endpoint · as served not measured" in report.headlines


def test_what_a_server_says_of_itself_is_a_note() -> None:
    remark = "the server says that it speculates by EAGLE"
    launches = [make_launch(SERVED, n, remark=remark) for n in (1, 2)]
    report = build_report(run_of([SERVED], served(), launches=launches))
    assert cells(report)["notes"] == remark


def test_servers_that_do_not_tell_of_their_cache_are_named_once() -> None:
    silent = (
        "{} not tell whether prompts came from a cache: {} TTFT may be shorter than a whole "
        "prefill."
    )
    assert silent.format("endpoint does", "its") in beside().remarks
    samples = [*plain(), *served(), *served(OTHER)]
    report = build_report(run_of([PLAIN, SERVED, OTHER], samples))
    assert silent.format("endpoint and b do", "their") in report.remarks
    samples = [*plain(), *served(cached_tokens=0), *served(OTHER)]
    report = build_report(run_of([PLAIN, SERVED, OTHER], samples))
    assert silent.format("b does", "its") in report.remarks


def test_a_server_that_drafted_nothing_is_no_failure() -> None:
    report = alone(drafted=0, accepted=0, steps=65, cached_tokens=0, bursts=())
    (row,) = report.rows
    assert row.failure is None
    assert cells(report)["acceptance"] == "no drafts"
    assert "notes" not in cells(report)


def test_ttft_of_cached_prompts_says_so() -> None:
    report = beside(cached_tokens=32)
    details = report.details
    row = dict(zip((c.heading for c in details.columns), details.rows[1], strict=True))
    assert row["TTFT"] == "100 ms (6 of 6 cached)"
    table = report.side_by_side.table
    shown = dict(zip((c.heading for c in table.columns), table.rows[1], strict=True))
    assert shown["TTFT"] == row["TTFT"]
    assert "6 of 6: prompt partly from a cache" in cells(report)["notes"]
    assert not any("TTFT may be shorter" in remark for remark in report.remarks)


def test_shares_of_tokens_bound_the_rate() -> None:
    # 65 tokens in 1.28 s, of which the first chunk held 1 to 13: 40.6 to 50 tok/s.
    report = beside(rates=[46.0] * 6, first_burst_tokens=6, first_burst_at_most=13)
    row = report.rows[1]
    assert row.decode_bounds is not None
    assert row.decode_bounds.low == pytest.approx(52 / 1.28)
    assert row.decode_bounds.high == pytest.approx(64 / 1.28)
    note = "tok/s lies between 40.6 and 50: how many tokens came in the first chunk is not exposed"
    assert note in cells(report)["notes"]
    assert report.rows[0].decode_bounds is None
    (_, told) = standard_json.loads(json.render(report))
    assert told["decode_bounds"] == {"low": pytest.approx(40.625), "high": pytest.approx(50)}
    assert told["tokens_per_burst"] == 32
    first, second = standard_csv.DictReader(io.StringIO(csv.render(report.rows)))
    assert float(second["decode_rate_at_least"]) == pytest.approx(40.625)
    assert float(second["decode_rate_at_most"]) == pytest.approx(50)
    assert float(second["tokens_per_burst"]) == 32
    assert second["samples_cached"] == "0"
    assert (first["decode_rate_at_least"], first["tokens_per_burst"]) == ("", "")


def test_a_first_chunk_of_one_token_leaves_no_doubt_worth_a_note() -> None:
    report = beside(rates=[50.0] * 6, first_burst_at_most=1)
    assert not any("lies between" in note for note in report.rows[1].notes)


def test_accepted_tokens_alone_make_a_length_and_no_rate() -> None:
    """As of TGI: 64 tokens in 32 steps after the first, 32 of them accepted, drafts not counted."""
    arm = make_arm("ngram", 4)
    samples = make_samples(
        arm,
        [70.0, 71.0, 72.0],
        change=lambda s: s.model_copy(update={"drafted": None, "accepted": 32}),
    )
    report = build_report(make_run([PLAIN, arm], [*make_samples(PLAIN, [50.0] * 3), *samples]))
    shown = cells(report, "ngram k=4")
    assert (shown["acceptance"], shown["τ"]) == ("not exposed", "2.00")
    assert "tokens per burst" not in shown
    assert report.rows[1].failure is None


def test_the_terminal_says_it_too() -> None:
    text = on_terminal(beside(rates=[46.0] * 6, first_burst_tokens=6, first_burst_at_most=13))
    assert "tokens per burst" in text
    assert "not exposed" in text
    assert "lies between 40.6 and 50" in text
    assert "is your word" in text


def test_the_terminal_says_once_what_is_true_of_different_numbers_of_samples() -> None:
    cached = [
        sample.model_copy(update={"cached_tokens": 3 * (number < 4)})
        for number, sample in enumerate(served(OTHER))
    ]
    run = run_of([PLAIN, SERVED, OTHER], [*plain(), *served(cached_tokens=3), *cached])
    text = on_terminal(build_report(run))
    assert "- 4 to 6 of 6: prompt partly from a cache: endpoint · as served, b · as served" in text
    assert text.count("prompt partly from a cache") == 1
