from __future__ import annotations

import pytest

from harness.analysis.summary import summarise
from harness.report.tables import (
    CEILING,
    DIFFERING,
    MAX_TOKENS,
    NOTES,
    SETTING,
    detail_table,
    failure_table,
    main_table,
    synthetic_table,
)
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import (
    PLAIN_TOKENS,
    make_arm,
    make_launch,
    make_probe,
    make_run,
    make_sample,
    make_samples,
)

PLAIN, FAST, LOST = make_arm(), make_arm("ngram-mod", 4), make_arm("mtp", 2)


def rows(change=None, arm=FAST, **options):
    samples = [
        *make_samples(PLAIN, [50.0] * 3),
        *make_samples(
            arm, [75.0] * 3, change=lambda sample: sample.model_copy(update=change or {})
        ),
    ]
    launches = [make_launch(LOST, status="failed", reason="it did not start: no heads")]
    return summarise(make_run([PLAIN, arm, LOST], samples, launches=launches, **options))


def cells(table, setting):
    line = next(row for row in table.rows if row[0] == setting)
    return dict(zip((column.heading for column in table.columns), line, strict=True))


def test_the_main_table_has_the_figures_of_an_article():
    table = main_table(rows())
    assert cells(table, "ngram-mod k=4") == {
        "setting": "ngram-mod k=4",
        "workload": "coding",
        "tok/s [95%]": "75.0",
        "speed-up [95%]": "1.50x",
        "acceptance": "50.0%",
        "τ": "2.00",
        "lossless": "identical",
        "ceiling": "199.9",
        "of ceiling": "38%",
    }
    plain = cells(table, "plain")
    assert (plain["speed-up [95%]"], plain["acceptance"], plain["lossless"]) == (
        "reference",
        "–",
        "reference",
    )


def test_failures_stand_in_a_table_of_their_own():
    assert [row[0] for row in main_table(rows()).rows] == ["plain", "ngram-mod k=4"]
    assert failure_table(rows()).rows == (("mtp k=2", "coding", "it did not start: no heads"),)


def test_columns_appear_only_if_they_say_something():
    table = main_table(rows())
    assert MAX_TOKENS not in table.columns
    assert NOTES not in table.columns
    assert CEILING in table.columns
    assert CEILING not in main_table(rows(models=())).columns
    assert MAX_TOKENS in main_table(rows(max_tokens=(128, 512))).columns
    noted = main_table(rows({"cached_tokens": 4, "output_tokens": 5, "steps": 4}))
    assert cells(noted, "ngram-mod k=4")["notes"].split("\n") == [
        "3 of 3: prompt partly from a cache",
        "3 of 3 doubtful, so none is left out: answer shorter than 8 tokens",
    ]


def test_what_is_not_exposed_is_said_and_is_not_0():
    bare = {"drafted": None, "accepted": None, "steps": None, "ttft_s": None}
    table = main_table(rows(bare))
    assert cells(table, "ngram-mod k=4")["acceptance"] == "not exposed"
    assert cells(table, "ngram-mod k=4")["ceiling"] == "–"
    details = cells(detail_table(rows(bare)), "ngram-mod k=4")
    assert details["drafted a step"] == "not exposed"
    assert details["TTFT"] == "not exposed"


def test_details():
    details = cells(detail_table(rows()), "ngram-mod k=4")
    assert details["samples"] == "3 of 3"
    assert details["pairs"] == "3"
    assert details["drafted a step"] == "3.00"
    assert details["accepted at 1, 2, …"] == "75% 50% 25%"
    assert details["TTFT"] == "100 ms"
    assert details["prefill tok/s"] == "500.0"
    assert details["peak memory"] == "1.20 GB"


@pytest.mark.parametrize(
    ("logprobs", "shown", "counted"),
    [
        ((-0.8, -0.83), "near-tie at 37 (0.03)", "3 of 3: 3 near-ties"),
        ((-0.1, -2.0), "differs at 37 (margin 1.9)", "3 of 3: 3 clear"),
        ((0.0, -0.7), "differs at 37 (margin 0.70)", "3 of 3: 3 clear"),
        ((-0.1,), "differs at 37 (margin over 0.00)", "3 of 3: 3 clear"),
        ((), "differs at 37 (not probed)", "3 of 3: 3 not probed"),
    ],
)
def test_a_difference_is_located_and_weighed(logprobs, shown, counted):
    probe = make_probe(make_sample(PLAIN), 37, *logprobs)
    found = rows({"tokens": (*PLAIN_TOKENS[:37], -1)}, probes=[probe])
    assert cells(main_table(found), "ngram-mod k=4")["lossless"] == shown
    details = detail_table(found)
    assert cells(details, "ngram-mod k=4")["answers that differ"] == counted
    assert cells(details, "plain")["answers that differ"] == "–"


def test_texts_that_differ_by_their_hashes_have_no_place():
    found = rows({"tokens": None, "text_sha256": "00"})
    assert cells(main_table(found), "ngram-mod k=4")["lossless"] == "differs (not probed)"
    assert DIFFERING in detail_table(found).columns
    assert DIFFERING not in detail_table(rows()).columns


def test_drafts_by_draw_stand_in_a_table_of_their_own():
    looping = {"tokens": (1, 2) * 40, "accepted": 0}
    found = rows(looping, arm=make_arm("ngram-mod", 4, synthetic=SyntheticAcceptance(length=1)))
    setting = "ngram-mod k=4 synthetic τ=1"
    assert [row[0] for row in main_table(found).rows] == ["plain"]
    assert [row[0] for row in detail_table(found).rows] == ["plain"]
    assert cells(synthetic_table(found), setting) == {
        "setting": setting,
        "workload": "coding",
        "tok/s [95%]": "75.0",
        "speed-up [95%]": "1.50x",
        "drawn acceptance": "0.0%",
        "drawn τ": "2.00",
        "drafted a step": "3.00",
    }
    assert not synthetic_table(rows()).rows


def test_columns_can_be_taken_out():
    table = main_table(rows())
    shorter = table.without([SETTING])
    assert shorter.columns == table.columns[1:]
    assert shorter.rows == tuple(row[1:] for row in table.rows)
