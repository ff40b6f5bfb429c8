"""What doubts take out of the figures of a report, and what they leave."""

from __future__ import annotations

import pytest

from harness.analysis.doubt import busy, cached, loop
from harness.analysis.side_by_side import side_by_side
from harness.analysis.step_costs import step_costs
from harness.analysis.summary import summarise
from harness.analysis.winner import find_winners
from harness.report.content import build_report
from harness.report.doubts import doubt_warnings
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_launch, make_run, make_samples

PLAIN = make_arm()
NGRAM = make_arm("ngram-mod", 4)
OTHER = make_arm(id="b-none", runner="b", baseline="b-none", counterpart="none")
PROMPTS = ("p1", "p2")
SLOW = [50.0, 49.0, 51.0, 50.0, 49.5, 50.5]
FAST = [100.5, 97.5, 102.5, 99.5, 99.0, 101.5]
BUSY = {"wall_s": 1.5, "machine_cpu_s": 12.0, "runner_cpu_s": 2.9}
LOOP = {"tokens": (*PLAIN_TOKENS, *[1, 2] * 20)}


def samples_of(arm, rates, spoiled=(), **changes):
    """A sample for each rate; those of `spoiled`, by number, with `changes`."""
    found = make_samples(arm, rates, prompts=PROMPTS)
    return [
        s.model_copy(update={"decode_s": 64 / s.decode_rate, **(changes if n in spoiled else {})})
        for n, s in enumerate(found)
    ]


def run_with(spoiled, arm=NGRAM, rates=FAST, **changes):
    """Plain beside an arm of which some samples are spoiled, and wrong."""
    values = [1.0 if number in spoiled else rate for number, rate in enumerate(rates)]
    samples = [*samples_of(PLAIN, SLOW), *samples_of(arm, values, spoiled, **changes)]
    launches = [make_launch(one, n) for one in (PLAIN, arm) for n in (1, 2, 3)]
    return make_run([PLAIN, arm], samples, launches=launches)


def test_a_spoiled_sample_is_in_neither_rate_nor_speedup() -> None:
    run = run_with({0, 3}, **BUSY)
    rows = summarise(run)
    row = rows[1]
    assert row.decode_rate is not None
    assert row.decode_rate.count == 4
    assert row.decode_rate.value == pytest.approx(100.0, rel=0.01)
    assert row.speedup is not None
    assert row.speedup.count == 4
    assert row.speedup.value == pytest.approx(2.0, rel=0.01)
    assert row.notes == ("2 of 6 left out: other programs used the processor",)
    assert (row.ok, row.spoiled, len(row.left_out), row.doubtful) == (6, 2, 2, None)
    assert row.doubts == {"busy": 2}
    # It counts steps whose time is known to be right: two tokens in each.
    (cost,) = step_costs(run, rows)
    assert cost.plain_steps == pytest.approx(1.0, rel=0.01)
    (contest,) = find_winners(run, rows)
    assert contest.best is row
    assert contest.outcome.name == "SPECULATION"


def test_a_pair_falls_out_with_either_of_its_samples() -> None:
    run = run_with(())
    plain = samples_of(PLAIN, [1.0, *SLOW[1:]], {0}, **BUSY)
    rows = summarise(make_run([PLAIN, NGRAM], [*plain, *samples_of(NGRAM, FAST)]))
    assert rows[1].decode_rate is not None
    assert rows[1].decode_rate.count == 6
    assert rows[1].speedup is not None
    assert (rows[1].speedup.count, rows[1].speedup.value) == (5, pytest.approx(2.0, rel=0.01))
    assert rows[1].notes == ()
    assert summarise(run)[1].speedup.count == 6


def test_the_ratio_of_two_runners_leaves_them_out_too() -> None:
    run = run_with({1}, OTHER, **BUSY)
    (group,) = side_by_side(run, summarise(run))
    (other,) = group.others
    assert other.ratio is not None
    assert (other.ratio.count, other.ratio.value) == (5, pytest.approx(2.0, rel=0.01))


def test_where_most_are_spoiled_all_stay_and_the_winner_is_doubtful() -> None:
    samples = [*samples_of(PLAIN, SLOW), *samples_of(NGRAM, FAST, range(4), **BUSY)]
    run = make_run([PLAIN, NGRAM], samples)
    report = build_report(run)
    row = report.rows[1]
    assert row.decode_rate is not None
    assert row.decode_rate.count == 6
    assert row.left_out == ()
    assert row.doubtful == "4 of 6: other programs used the processor"
    assert row.notes == ("4 of 6 doubtful, so none is left out: other programs used the processor",)
    (line,) = report.headlines
    assert line.endswith("but doubtful (4 of 6: other programs used the processor)")


def test_a_doubtful_plain_makes_the_speedup_doubtful() -> None:
    samples = [*samples_of(PLAIN, SLOW, range(5), **BUSY), *samples_of(NGRAM, FAST)]
    row = summarise(make_run([PLAIN, NGRAM], samples))[1]
    assert row.doubtful == "of plain's, 5 of 6: other programs used the processor"
    assert row.spoiled == 0


def test_doubtful_rates_say_so_where_nothing_wins() -> None:
    alone = make_run([PLAIN], samples_of(PLAIN, SLOW, range(4), **BUSY))
    (line,) = build_report(alone).headlines
    assert line.endswith(
        "with nothing to compare, but doubtful (4 of 6: other programs used the processor)"
    )
    samples = [*samples_of(PLAIN, SLOW), *samples_of(OTHER, FAST, range(4), **BUSY)]
    (line, *_) = build_report(make_run([PLAIN, OTHER], samples)).headlines
    assert "(doubtful: b)" in line


def test_loops_are_in_no_acceptance() -> None:
    run = run_with({2}, accepted=96, output_tokens=113, **LOOP)
    row = summarise(run)[1]
    assert row.speculating.acceptance_rate == pytest.approx(0.5)
    assert row.speculating.acceptance_length == pytest.approx(2.0, rel=0.01)
    assert row.loops == 1
    assert row.notes == (f"1 of 6 left out: {loop.MARK.words}",)


def test_a_cached_prompt_is_in_no_ttft_and_in_every_rate() -> None:
    samples = samples_of(PLAIN, SLOW, {0, 1}, cached_tokens=30, ttft_s=0.001)
    (row,) = summarise(make_run([PLAIN], samples))
    assert row.ttft_s == pytest.approx(0.1)
    assert row.cached == 0
    assert row.prefill_rate == pytest.approx(40 / 0.08)
    assert row.decode_rate is not None
    assert row.decode_rate.count == 6
    assert row.notes == (f"2 of 6 left out of TTFT: {cached.MARK.words}",)


def test_a_report_with_too_many_doubts_says_so_first() -> None:
    samples = [*samples_of(PLAIN, SLOW, {0}, **BUSY), *samples_of(NGRAM, FAST, {0, 5}, **LOOP)]
    run = make_run([PLAIN, NGRAM], samples)
    assert build_report(run).warnings == (
        "3 of 12 samples are doubtful, 2 of these for this: the answer ends in a loop, which is "
        "easier to draft than other text. Use prompts that the model answers without repeating "
        "itself, or shorter answers.",
    )
    busy_alone = [*samples_of(PLAIN, SLOW, {0}, **BUSY), *samples_of(NGRAM, FAST, {0, 1}, **BUSY)]
    (warning,) = build_report(make_run([PLAIN, NGRAM], busy_alone)).warnings
    assert warning.startswith("3 of 12 samples are doubtful, all of them for this: other programs")
    assert warning.endswith(busy.MARK.advice)


def test_a_fifth_of_doubts_is_no_warning() -> None:
    samples = samples_of(PLAIN, SLOW[:5], {0}, **BUSY)
    run = make_run([PLAIN], samples)
    assert doubt_warnings(run, summarise(run)) == ()


def test_a_drift_stands_at_the_top() -> None:
    rates = [rate for number in range(8) for rate in (50 - 2 * number, 50 - 2 * number)]
    (warning,) = build_report(make_run([PLAIN], samples_of(PLAIN, rates))).warnings
    assert warning.startswith("The machine became 28% slower from round 1 to 8: ")
