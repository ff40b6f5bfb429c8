from __future__ import annotations

import pytest

from harness.analysis.lossless import Verdict
from harness.analysis.side_by_side import (
    ONLY_PLAIN,
    compare_runners,
    other_prompts,
    side_by_side,
)
from harness.analysis.summary import summarise
from harness.analysis.winner import find_winners
from harness.pairing import UnequalPrompt
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_launch, make_probe, make_run
from tests.harness.runners import (
    ARMS,
    DRAFTED,
    MLX,
    MLX_DRAFTED,
    PLAIN,
    RATES,
    VLLM,
    VLLM_DRAFTED,
    answers,
    beside,
    near_tie_run,
    other_prompts_run,
    parted,
    runners_run,
)


def groups_of(run):
    return side_by_side(run, summarise(run))


def rows_of(run):
    """Rows by arm, for runs of one workload and one length."""
    return {row.trial.arm.id: row for group in groups_of(run) for row in group.rows}


def comparisons_of(run):
    rows = summarise(run)
    return compare_runners(run, side_by_side(run, rows), find_winners(run, rows))


def test_each_setting_is_a_group_of_its_runners():
    groups = groups_of(runners_run())
    assert [(group.setting, [row.trial.arm for row in group.rows]) for group in groups] == [
        ("plain", [PLAIN, MLX, VLLM]),
        ("draft-model k=2", [DRAFTED, MLX_DRAFTED, VLLM_DRAFTED]),
    ]
    for group in groups:
        first = RATES[group.reference.trial.arm.id]
        assert group.reference.ratio is group.reference.text is group.reference.prompts is None
        for row in group.others:
            assert row.ratio.value == pytest.approx(RATES[row.trial.arm.id] / first, rel=0.02)
            assert row.ratio.interval is not None
            assert row.ratio.count == 6
            assert row.text.verdict is Verdict.IDENTICAL
            assert (row.prompts.compared, row.prompts.differing) == (2, 0)
    rows = rows_of(runners_run())
    assert [rows[arm.id].start_s for arm in (PLAIN, MLX, VLLM)] == [1.0, 4.0, 80.0]
    assert [rows[arm.id].weights for arm in (PLAIN, MLX, VLLM)] == ["Q8_0", "BF16", "BF16"]


def test_a_run_of_one_runner_has_nothing_side_by_side():
    run = make_run([PLAIN, DRAFTED], [*answers(PLAIN), *answers(DRAFTED)])
    assert groups_of(run) == comparisons_of(run) == other_prompts(run) == ()


def test_settings_that_one_runner_has_alone_are_left_out():
    alone = make_arm("ngram", 3, id="v", runner="vllm", baseline=VLLM.id)
    samples = [sample for arm in (PLAIN, DRAFTED, VLLM) for sample in answers(arm)]
    run = runners_run((PLAIN, DRAFTED, VLLM, alone), samples)
    # The draft model has no counterpart here either.
    assert set(rows_of(run)) == {PLAIN.id, VLLM.id}


def test_workloads_and_lengths_have_groups_of_their_own():
    samples = [
        sample.model_copy(update={"workload": workload, "max_tokens": length})
        for workload in ("coding", "prose")
        for length in (64, 128)
        for arm in (PLAIN, MLX)
        for sample in answers(arm, rounds=1)
    ]
    run = runners_run((PLAIN, MLX), samples)
    expected = [("coding", 64), ("coding", 128), ("prose", 64), ("prose", 128)]
    assert [(g.workload, g.max_tokens) for g in groups_of(run)] == expected
    assert [(c.plain.workload, c.plain.max_tokens) for c in comparisons_of(run)] == expected
    assert all(group.others[0].ratio.count == 2 for group in groups_of(run))


def test_a_near_tie_between_runners_is_known_by_the_first_ones_probe():
    text = rows_of(near_tie_run())[MLX.id].text
    assert (text.verdict, text.differing, text.compared) == (Verdict.NEAR_TIE, 3, 6)
    assert text.decisive == 36
    assert text.margin.value == pytest.approx(0.03)


def test_differences_of_speculation_are_known_where_plain_was_asked_anyway():
    change = {"tokens": parted(36)}
    samples = [
        *answers(PLAIN),
        *answers(DRAFTED),
        *answers(MLX, **change),
        *answers(MLX_DRAFTED, **change),
    ]
    arms = (PLAIN, DRAFTED, MLX, MLX_DRAFTED)
    probes = [make_probe(sample, 36, -0.5, -2.5) for sample in samples[:2]]
    text = rows_of(runners_run(arms, samples, probes=probes))[MLX_DRAFTED.id].text
    assert (text.verdict, text.unprobed, text.margin.value) == (Verdict.DIFFERENT, 0, 2.0)
    samples[-6:] = answers(MLX_DRAFTED, tokens=parted(9))
    text = rows_of(runners_run(arms, samples, probes=probes))[MLX_DRAFTED.id].text
    assert (text.verdict, text.unprobed, text.margin) == (Verdict.DIFFERENT, 6, None)
    assert text.unprobed_reason == ONLY_PLAIN
    # It parts from its own plain arm there, which would be asked: this is another question.
    text = rows_of(runners_run(arms, samples))[MLX.id].text
    assert text.unprobed_reason == "the run did not come to it"


def test_other_prompts_make_texts_incomparable_and_are_told_with_an_example():
    run = other_prompts_run()
    rows = rows_of(run)
    assert rows[MLX.id].text.verdict is Verdict.IDENTICAL
    text = rows[VLLM.id].text
    assert (text.verdict, text.reason) == (Verdict.NOT_COMPARABLE, "the prompts differ")
    assert rows[VLLM.id].ratio is not None
    (found,) = other_prompts(run)
    assert (found.runner, found.reference) == ("vllm", "llama.cpp")
    assert (found.counts.compared, found.counts.differing) == (2, 1)
    assert found.counts.example == UnequalPrompt("coding", "p2", 44, 40)


def test_the_prompts_of_a_runner_are_told_once():
    samples = [
        *(s for arm in (PLAIN, DRAFTED) for s in answers(arm)),
        *answers(
            VLLM, rounds=1, change=lambda s: {"prompt_tokens": 41 if s.prompt == "p1" else 40}
        ),
        *answers(VLLM_DRAFTED, prompt_tokens=41),
    ]
    (found,) = other_prompts(runners_run((PLAIN, DRAFTED, VLLM, VLLM_DRAFTED), samples))
    assert (found.counts.compared, found.counts.differing) == (2, 2)


def test_what_is_not_exposed_is_none():
    bare = {
        "tokens": None,
        "text_sha256": None,
        "prompt_tokens": None,
        "ttft_s": None,
        "runner_peak_memory": None,
    }
    run = runners_run(
        (PLAIN, MLX), [*answers(PLAIN), *answers(MLX, **bare)], launches=[], models=()
    )
    row = rows_of(run)[MLX.id]
    assert row.text.reason == "neither tokens nor text hashes are exposed"
    assert row.prompts.compared == 0
    assert row.start_s is row.weights is row.trial.ttft_s is row.trial.peak_memory is None
    hashes = [*answers(PLAIN, tokens=None), *answers(MLX, tokens=None)]
    assert rows_of(runners_run((PLAIN, MLX), hashes))[MLX.id].text.verdict is Verdict.IDENTICAL


def test_prompts_of_unknown_lengths_are_why_a_difference_is_not_probed():
    other = answers(MLX, tokens=parted(5), prompt_tokens=None)
    text = rows_of(runners_run((PLAIN, MLX), [*answers(PLAIN), *other]))[MLX.id].text
    assert (text.differing, text.unprobed) == (6, 6)
    assert text.unprobed_reason == "not both runners tell how long they find the prompts"


def test_the_token_that_ends_a_text_is_no_difference():
    samples = [*answers(PLAIN), *answers(MLX, tokens=(*PLAIN_TOKENS, 7))]
    text = rows_of(runners_run((PLAIN, MLX), samples))[MLX.id].text
    assert (text.verdict, text.compared) == (Verdict.IDENTICAL, 6)


def test_a_side_without_figures_keeps_its_row():
    impossible = VLLM.model_copy(update={"impossible": "it reads no GGUF"})
    launches = [
        make_launch(PLAIN, start_s=3.0),
        make_launch(PLAIN, 2, start_s=99.0, status="failed", reason="no port"),
        make_launch(MLX, status="failed", reason="it did not start: no memory"),
    ]
    rows = rows_of(runners_run((PLAIN, MLX, impossible), answers(PLAIN), launches=launches))
    assert rows[PLAIN.id].start_s == 3.0
    for arm in (MLX, impossible):
        assert rows[arm.id].trial.failure is not None
        assert rows[arm.id].ratio is rows[arm.id].start_s is None
        assert rows[arm.id].text.reason == "it has no figures"
    rows = rows_of(runners_run((PLAIN, MLX), answers(MLX), launches=launches))
    assert rows[MLX.id].ratio is None
    assert rows[MLX.id].text.reason == "llama.cpp has no figures"


def test_rounds_that_only_one_side_has_are_not_compared():
    later = [s.model_copy(update={"round": s.round + 3}) for s in answers(MLX)]
    row = rows_of(runners_run((PLAIN, MLX), [*answers(PLAIN), *later]))[MLX.id]
    assert row.ratio is None
    assert row.text.reason == "no answer of llama.cpp to the same prompt and round"


def test_void_texts_are_not_compared():
    drawn = make_arm("draft-model", 2, id="d", synthetic=SyntheticAcceptance(length=2))
    other = beside(drawn, "vllm")
    samples = [
        *answers(PLAIN),
        *(s.model_copy(update={"arm": drawn.id}) for s in answers(DRAFTED)),
        *(s.model_copy(update={"arm": other.id}) for s in answers(VLLM_DRAFTED)),
    ]
    row = rows_of(runners_run((PLAIN, drawn, other), samples))[other.id]
    assert row.ratio is not None
    assert "void" in row.text.reason


# ---- which runner ------------------------------------------------------------------------------


def test_the_best_of_each_runner_is_plain_unless_another_is_proven():
    (found,) = comparisons_of(runners_run())
    assert [best.trial.arm for best in found.bests] == [DRAFTED, MLX_DRAFTED, VLLM]
    assert found.bests[0].ratio is None
    assert found.bests[1].ratio.value == pytest.approx(60 / 140, rel=0.02)
    assert found.bests[2].ratio.value == pytest.approx(100 / 140, rel=0.02)
    assert found.screen is None


def test_nothing_is_said_of_the_best_where_plain_is_the_best_of_each():
    (found,) = comparisons_of(runners_run((PLAIN, MLX, VLLM)))
    assert found.bests == ()


def test_few_pairs_and_few_rounds_are_a_screen():
    samples = [s for arm in ARMS for s in answers(arm, rounds=2)]
    (found,) = comparisons_of(runners_run(samples=samples))
    assert found.screen == "only 4 pairs"
