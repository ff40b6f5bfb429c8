from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from harness.analysis.lossless import Verdict
from harness.analysis.summary import summarise
from harness.analysis.trial import TrialSummary
from harness.analysis.winner import Outcome, find_winners
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

PLAIN = make_arm()
NGRAM = make_arm("ngram-mod", 4)
SLOW = [50.0, 40.0, 60.0, 50.0, 40.0, 60.0]
FAST = [1.5 * rate for rate in SLOW]


def rows_of(run) -> dict[str, TrialSummary]:
    """Rows by arm, for runs of one workload and one length."""
    return {row.arm.id: row for row in summarise(run)}


def speculative_row(fast, **changes) -> TrialSummary:
    return rows_of(make_run([PLAIN, NGRAM], [*make_samples(PLAIN, SLOW), *fast], **changes))[
        NGRAM.id
    ]


def updated(rates, **changes):
    return make_samples(NGRAM, rates, change=lambda sample: sample.model_copy(update=changes))


def test_the_figures_of_a_trial():
    rows = rows_of(
        make_run([PLAIN, NGRAM], [*make_samples(PLAIN, SLOW), *make_samples(NGRAM, FAST)])
    )
    plain, fast = rows["none"], rows["ngram-mod-k4"]
    assert (plain.setting, fast.setting) == ("plain", "ngram-mod k=4")
    assert plain.decode_rate.value == 50.0
    assert plain.decode_rate.interval.low < 50 < plain.decode_rate.interval.high
    assert plain.speedup is None
    assert fast.speedup.value == pytest.approx(1.5)
    assert fast.speedup.count == 6
    # 48 of 96 accepted; 64 tokens and 96 drafts in 32 decode steps.
    assert fast.speculating.acceptance_rate == 0.5
    assert fast.speculating.acceptance_length == 2.0
    assert fast.speculating.drafted_per_step == 3.0
    assert fast.speculating.accepted_per_position == (0.75, 0.5, 0.25)
    assert fast.ttft_s == pytest.approx(0.1)
    assert fast.prefill_rate == pytest.approx(500.0)
    assert fast.peak_memory == 1_200_000_000
    assert fast.lossless.verdict is Verdict.IDENTICAL
    assert fast.ceiling.rate == pytest.approx(2 * 100e9 / (1e9 + 72.5 * 10_000))
    assert fast.ceiling_share == pytest.approx(75 / fast.ceiling.rate)
    assert fast.notes == ()


def test_acceptance_is_weighted_by_steps_and_not_by_requests():
    long = make_sample(NGRAM, round=1, output_tokens=101, steps=101, drafted=100, accepted=0)
    short = make_sample(NGRAM, round=2, output_tokens=11, steps=6, drafted=5, accepted=5)
    found = speculative_row([long, short]).speculating
    assert found.acceptance_rate == pytest.approx(5 / 105)
    assert found.acceptance_length == pytest.approx(110 / 105)
    assert found.drafted_per_step == pytest.approx(105 / 105)


def test_positions_of_different_widths_are_added_up():
    one = make_sample(NGRAM, round=1, steps=11, accepted_per_position=(8,))
    two = make_sample(NGRAM, round=2, steps=11, accepted_per_position=(6, 4))
    assert speculative_row([one, two]).speculating.accepted_per_position == (0.7, 0.2)


def test_what_is_not_exposed_is_none_and_never_zero():
    bare = {
        "drafted": None,
        "accepted": None,
        "steps": None,
        "accepted_per_position": None,
        "cached_tokens": None,
        "ttft_s": None,
        "runner_peak_memory": None,
    }
    row = speculative_row(updated(FAST, **bare))
    assert row.speculating.acceptance_rate is None
    assert row.speculating.acceptance_length is None
    assert row.speculating.drafted_per_step is None
    assert row.speculating.accepted_per_position is None
    assert row.prefill_rate is None
    assert row.ttft_s is None
    assert row.peak_memory is None
    assert row.ceiling.rate is None
    assert row.ceiling_share is None
    assert row.failure is None
    assert row.speedup is not None


def test_a_setting_that_drafted_nothing_has_failed():
    row = speculative_row(updated(FAST, drafted=0, accepted=0))
    assert row.failure == "asked for ngram-mod, drafted nothing in 6 requests"
    assert row.decode_rate is None
    assert row.speedup is None
    assert row.ok == 6


def test_a_lookup_that_finds_nothing_in_one_text_is_no_failure():
    faster = [rate * (1.4 + 0.01 * index) for index, rate in enumerate(SLOW)]
    run = make_run(
        [PLAIN, NGRAM],
        [
            *make_samples(PLAIN, SLOW, workload="coding"),
            *make_samples(PLAIN, SLOW, workload="prose"),
            *make_samples(NGRAM, faster, workload="coding"),
            *make_samples(
                NGRAM,
                faster,
                workload="prose",
                change=lambda s: s.model_copy(update={"drafted": 0, "accepted": 0}),
            ),
        ],
    )
    rows = summarise(run)
    row = next(r for r in rows if r.workload == "prose" and r.arm.id == NGRAM.id)
    assert row.failure is None
    assert row.speculating.found_nothing
    assert any(note.startswith("drafted nothing in 6 requests") for note in row.notes)
    # Whatever made it faster here, speculation did not.
    outcomes = {contest.workload: contest.outcome for contest in find_winners(run, rows)}
    assert outcomes == {"coding": Outcome.SPECULATION, "prose": Outcome.UNPROVEN}


def test_a_chain_with_a_model_in_it_always_drafts():
    chain = make_arm("ngram-mod+mtp", 4)
    run = make_run(
        [PLAIN, chain],
        [
            *make_samples(PLAIN, SLOW, workload="coding"),
            *make_samples(PLAIN, SLOW, workload="prose"),
            *make_samples(chain, FAST, workload="coding"),
            *make_samples(
                chain,
                FAST,
                workload="prose",
                change=lambda s: s.model_copy(update={"drafted": 0, "accepted": 0}),
            ),
        ],
    )
    (row,) = (r for r in summarise(run) if r.workload == "prose" and r.arm.id == chain.id)
    assert row.failure == "asked for ngram-mod+mtp, drafted nothing in 6 requests"


def test_a_shortened_length_is_noted_once():
    arm = make_arm("ngram-cache", 8, asked=(2, 4), limit="built into the runner")
    run = make_run([PLAIN, arm], [*make_samples(PLAIN, SLOW), *make_samples(arm, FAST)])
    assert rows_of(run)[arm.id].notes == (
        "asked for k=2, 4: always 8 here (built into the runner)",
    )


def test_a_first_step_that_drafts_counts_as_a_step_that_could():
    # 96 drafts and 24, 16, 8 accepted at each position in 33 steps, all of which drafted.
    row = speculative_row(updated(FAST, first_burst_tokens=3))
    assert row.speculating.drafted_per_step == pytest.approx(96 / 33)
    assert row.speculating.accepted_per_position == pytest.approx((24 / 33, 16 / 33, 8 / 33))


def mlx_samples(*counts: tuple[int, int, int]):
    """(steps, drafted, tokens of the first burst) of each."""
    return [
        make_sample(
            NGRAM,
            round=n,
            steps=steps,
            drafted=drafted,
            accepted=1,
            first_burst_tokens=first,
            accepted_per_position=(1,),
        )
        for n, (steps, drafted, first) in enumerate(counts, start=1)
    ]


def test_a_prefill_that_drafts_is_known_by_its_drafts():
    # k=4, as mlx-lm does it: every step drafts, the last one of the second answer what is left.
    samples = mlx_samples((10, 40, 1), (10, 37, 3), (10, 33, 1))
    found = speculative_row(samples).speculating
    assert found.drafted_per_step == pytest.approx(110 / 30)
    assert found.accepted_per_position == pytest.approx((3 / 30,))
    # One answer tells it of all of them: here the last step of the other had nothing to draft.
    found = speculative_row(mlx_samples((10, 40, 1), (10, 36, 1))).speculating
    assert found.drafted_per_step == pytest.approx(76 / 20)


@pytest.mark.parametrize(
    ("counts", "steps"),
    [
        # As llama.cpp does it: the step that ends the prefill drafts nothing.
        (((10, 36, 1), (10, 36, 1)), 18),
        # More than k in each step: then k is not what bounds a draft.
        (((10, 41, 1),), 9),
    ],
)
def test_a_prefill_that_need_not_have_drafted_is_left_out(counts, steps):
    found = speculative_row(mlx_samples(*counts)).speculating
    assert found.drafted_per_step == pytest.approx(sum(drafted for _, drafted, _ in counts) / steps)


def test_a_chains_length_does_not_bound_its_drafts():
    arm = make_arm("ngram-mod+draft-model", 4)
    samples = [s.model_copy(update={"arm": arm.id}) for s in mlx_samples((10, 40, 1))]
    run = make_run([PLAIN, arm], [*make_samples(PLAIN, SLOW), *samples])
    assert rows_of(run)[arm.id].speculating.drafted_per_step == pytest.approx(40 / 9)


def test_tokens_of_the_first_burst_are_not_counted_in_tau():
    row = speculative_row(updated(FAST, first_burst_tokens=3))
    assert row.speculating.acceptance_length == pytest.approx((65 - 3) / 32)


def test_one_draft_anywhere_is_no_failure():
    fast = [*updated(FAST[:5], drafted=0, accepted=0), make_sample(NGRAM, round=6)]
    assert speculative_row(fast).failure is None


def test_unknown_drafts_are_no_failure():
    fast = [*updated(FAST[:5], drafted=0, accepted=0), make_sample(NGRAM, round=6, drafted=None)]
    assert speculative_row(fast).failure is None


def test_some_failed_samples_are_a_note():
    fast = [
        *make_samples(NGRAM, FAST[:4]),
        make_sample(NGRAM, round=5, status="failed", reason="out of memory", decode_rate=None),
        make_sample(NGRAM, round=6, status="failed", reason="out of memory", decode_rate=None),
    ]
    row = speculative_row(fast)
    assert (row.ok, row.failed, row.failure) == (4, 2, None)
    assert row.speedup.count == 4
    assert row.notes == ("2 of 6 failed: out of memory",)


def test_samples_that_all_failed_are_a_failure():
    fast = [
        make_sample(NGRAM, round=number, status="failed", reason=reason)
        for number, reason in enumerate(["lost", "lost", "timed out"], 1)
    ]
    assert speculative_row(fast).failure == "lost (further reasons: 1)"


def test_failed_launches_are_a_failure_or_a_note():
    lost = make_launch(NGRAM, status="failed", reason="it did not start: no MTP heads")
    fine = make_launch(NGRAM, 2)
    assert speculative_row([], launches=[lost]).failure == "it did not start: no MTP heads"
    row = speculative_row(make_samples(NGRAM, FAST), launches=[lost, fine])
    assert row.failure is None
    assert row.notes == ("1 of 2 launches failed: it did not start: no MTP heads",)


def test_a_trial_that_was_never_reached_is_a_row():
    row = speculative_row([], launches=[])
    assert row.failure == "not measured"


def test_every_planned_trial_is_a_row_in_order():
    samples = [
        sample
        for workload in ("coding", "prose")
        for length in (128, 512)
        for sample in make_samples(PLAIN, SLOW, workload=workload, max_tokens=length)
    ]
    rows = summarise(make_run([PLAIN, NGRAM], samples))
    assert [(row.workload, row.max_tokens, row.arm.id) for row in rows] == [
        (workload, length, arm)
        for workload in ("coding", "prose")
        for length in (128, 512)
        for arm in ("none", "ngram-mod-k4")
    ]
    assert [row.failure for row in rows if row.arm.id != "none"] == ["not measured"] * 4


def test_samples_without_a_plain_partner_have_no_speedup():
    run = make_run([PLAIN, NGRAM], make_samples(NGRAM, FAST))
    row = rows_of(run)[NGRAM.id]
    assert row.speedup is None
    assert row.decode_rate is not None
    assert row.lossless.verdict is Verdict.NOT_COMPARABLE
    assert "no plain sample of the same round and prompt to compare with" in row.notes


def test_an_answer_of_one_burst_has_no_rate():
    row = speculative_row(updated(FAST, decode_rate=None, tpot_s=None))
    assert row.decode_rate is None
    assert "every answer came in one burst, which has no decode rate" in row.notes


def test_bursts_that_were_read_at_one_moment_have_no_rate():
    starved = {"decode_rate": None, "tpot_s": None, "bursts": ((0.0, 1), (0.0, 64))}
    notes = " ".join(speculative_row(updated(FAST, **starved)).notes)
    assert "no decode rate: the bursts of each answer were read at one moment" in notes
    assert "one burst" not in notes


def test_loops_doubts_and_rejections_are_notes():
    looping = (*PLAIN_TOKENS, *[1, 2] * 20)
    row = speculative_row(updated(FAST, tokens=looping, accepted=0, cached_tokens=3))
    assert row.loops == 6
    assert row.notes == (
        "every drafted token was rejected",
        "6 of 6: prompt partly from a cache",
        "6 of 6 doubtful, so none is left out: the answer ends in a loop, which is easier to draft "
        "than other text",
    )


def test_plain_decoding_that_does_not_repeat_itself_is_noted():
    plain = make_samples(PLAIN, SLOW)
    plain[2] = plain[2].model_copy(update={"tokens": (9, *PLAIN_TOKENS)})
    row = rows_of(make_run([PLAIN], plain))["none"]
    # It differs from the round before, and the next round differs from it.
    assert row.notes == (
        "plain decoding does not repeat itself: 2 of 5 answers differ from the round before",
    )


def test_a_rate_above_its_ceiling_is_noted():
    row = rows_of(make_run([PLAIN], make_samples(PLAIN, [200.0] * 3)))["none"]
    assert row.ceiling_share > 1
    assert any("faster than its ceiling" in note for note in row.notes)


def test_arms_are_held_against_their_own_baseline():
    other = make_arm(id="none-q8", options=(("cache-type-k", "q8_0"),), baseline="none-q8")
    fast = make_arm("ngram-mod", 4, baseline="none-q8", options=other.options)
    samples = [
        *make_samples(PLAIN, [10.0] * 3),
        *make_samples(other, [20.0] * 3),
        *make_samples(fast, [30.0] * 3),
    ]
    rows = rows_of(make_run([PLAIN, other, fast], samples))
    assert rows[fast.id].speedup.value == pytest.approx(1.5)
    assert rows["none-q8"].speedup is None


def test_a_silent_drafter_fails_with_the_words_of_its_log():
    launches = [make_launch(PLAIN), make_launch(NGRAM, remark="no implementation specified")]
    row = speculative_row(updated(FAST, drafted=0, accepted=0), launches=launches)
    assert row.failure == (
        "asked for ngram-mod, drafted nothing in 6 requests; no implementation specified"
    )


def test_a_remark_alone_is_no_failure():
    row = speculative_row(make_samples(NGRAM, FAST), launches=[make_launch(NGRAM, remark="slow")])
    assert (row.failure, row.notes) == (None, ())


def test_records_that_disagree_are_a_note():
    launches = [
        make_launch(NGRAM, 1, disagreement="the log counts 8 drafted, /metrics 9"),
        make_launch(NGRAM, 2),
        make_launch(PLAIN, disagreement="another arm's"),
    ]
    row = speculative_row(make_samples(NGRAM, FAST), launches=launches)
    assert row.failure is None
    assert row.notes == (
        "the runner's records disagree in 1 of 2 launches, so acceptance is doubtful: "
        "the log counts 8 drafted, /metrics 9",
    )


@pytest.mark.parametrize(
    ("limit", "notes"),
    [(3, ("asked for k=4, the runner drafts at most 3",)), (4, ()), (9, ()), (None, ())],
)
def test_drafts_that_the_runner_cuts_short_are_told(limit, notes):
    launches = [make_launch(NGRAM, draft_limit=limit)]
    assert speculative_row(make_samples(NGRAM, FAST), launches=launches).notes == notes


def test_an_arm_that_cannot_work_says_why():
    arm = NGRAM.model_copy(update={"impossible": "the model has no MTP heads"})
    row = rows_of(make_run([PLAIN, arm], make_samples(PLAIN, SLOW), launches=[]))[arm.id]
    assert row.failure == "the model has no MTP heads"


def test_drafts_by_draw_are_compared_with_nothing_but_plains_speed():
    drawn = NGRAM.model_copy(update={"synthetic": SyntheticAcceptance(length=1)})
    samples = [
        *make_samples(PLAIN, SLOW),
        *updated(FAST, tokens=(1, 2) * 40, accepted=0),
    ]
    run = make_run([PLAIN, drawn], samples)
    row = rows_of(run)[drawn.id]
    assert row.setting == "ngram-mod k=4 synthetic τ=1"
    assert row.lossless.verdict is Verdict.NOT_COMPARABLE
    assert row.lossless.reason == "drafts accepted by draw: the text is void"
    assert (row.loops, row.notes) == (0, ())
    assert row.speedup.value == pytest.approx(1.5)
    (contest,) = find_winners(run, summarise(run))
    assert (contest.outcome, contest.compared, contest.failed) == (Outcome.NO_SPEEDUP, 0, 0)
    # The same text as plain's is void as well.
    same = make_run([PLAIN, drawn], [*make_samples(PLAIN, SLOW), *make_samples(NGRAM, FAST)])
    assert rows_of(same)[drawn.id].lossless.verdict is Verdict.NOT_COMPARABLE


def test_a_drawn_setting_that_drafts_nothing_has_failed():
    drawn = NGRAM.model_copy(update={"synthetic": SyntheticAcceptance(length=3)})
    samples = [*make_samples(PLAIN, SLOW), *updated(FAST, drafted=0, accepted=0)]
    assert "drafted nothing" in rows_of(make_run([PLAIN, drawn], samples))[drawn.id].failure


def test_probes_of_the_run_weigh_its_differences():
    plain = make_samples(PLAIN, SLOW)
    fast = updated(FAST, tokens=(*PLAIN_TOKENS[:9], -1, *PLAIN_TOKENS[10:]))
    probe = make_probe(plain[0], 9, -0.7, -0.71)
    row = rows_of(make_run([PLAIN, NGRAM], [*plain, *fast], probes=[probe]))[NGRAM.id]
    assert (row.lossless.verdict, row.lossless.near_ties) == (Verdict.NEAR_TIE, 6)
    row = rows_of(make_run([PLAIN, NGRAM], [*plain, *fast]))[NGRAM.id]
    assert row.lossless.unprobed_reason == "the run did not come to it"


def test_rows_can_be_written_as_json():
    rows = summarise(make_run([PLAIN], make_samples(PLAIN, SLOW)))
    assert b'"ceiling_share"' in TypeAdapter(tuple[TrialSummary, ...]).dump_json(rows)
