"""Verdicts over whole runs: one for each figure, and for what has none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.compare.errors import CompareError
from harness.gate.decide import Change, Decision
from harness.gate.gate import gate
from harness.gate.verdict import Figure, Gate, Row, worst_first
from harness.gate.words import facts, headline, improvements, power
from harness.records import Sample
from tests.harness.builders import MACHINE, make_launch, make_run
from tests.harness.gate.runs import (
    LOUD,
    QUIET,
    ab_run,
    arms_of,
    changed,
    launches_of,
    samples_of,
    single_run,
    times,
    write,
)

FAST = "draft-model k=4 · coding"
PLAIN = "plain · coding"


def judged(folder: Path, threshold: float = 0.05) -> Gate:
    return gate(str(folder), threshold=threshold)


def row(found: Gate, figure: Figure, trial: str = FAST) -> Row:
    (one,) = [one for one in found.rows if (one.trial, one.figure) == (trial, figure)]
    return one


def test_equal_sides_pass_in_every_figure(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run"))
    assert found.decision is Decision.PASSED
    assert {one.decision for one in found.rows} == {Decision.PASSED}
    assert {one.change for one in found.rows} == {Change.UNPROVEN}
    assert [one.figure for one in found.rows if one.trial == FAST] == [
        Figure.DECODE_RATE,
        Figure.TTFT,
        Figure.ACCEPTANCE_RATE,
        Figure.ACCEPTANCE_LENGTH,
        Figure.PEAK_MEMORY,
        Figure.LOSSLESS,
    ]
    assert found.paired
    assert headline(found) == "PASSED: none of 2 decode rates lost more than 5%"
    assert improvements(found) is None
    assert power(found).endswith("A threshold of 5% takes 3, so there were enough.")


@pytest.mark.parametrize(
    ("figure", "worse"),
    [
        (Figure.DECODE_RATE, times(decode_rate=0.85)),
        (Figure.TTFT, times(ttft_s=1.2)),
        (Figure.ACCEPTANCE_RATE, changed(accepted=30)),
        (Figure.ACCEPTANCE_LENGTH, changed(steps=41)),
        (Figure.PEAK_MEMORY, times(runner_peak_memory=1.2)),
    ],
)
def test_each_figure_alone_can_regress_and_improve(
    tmp_path: Path, figure: Figure, worse: object
) -> None:
    assert callable(worse)
    found = judged(ab_run(tmp_path / "worse", change=worse, only="draft"))
    assert found.decision is Decision.REGRESSED
    assert [(one.trial, one.figure) for one in found.of(Decision.REGRESSED)] == [(FAST, figure)]
    assert headline(found).startswith(f"REGRESSED: {figure} of {FAST} ")
    # The other way round it is the candidate that is better.
    found = judged(ab_run(tmp_path / "better", before=worse, only="draft"))
    assert found.decision is Decision.PASSED
    assert [(one.trial, one.figure) for one in found.improved] == [(FAST, figure)]
    assert (improvements(found) or "").startswith(f"Improved: {figure} of {FAST} ")


def test_a_loss_within_the_threshold_passes_and_is_named(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run", change=times(decode_rate=0.97))
    found = judged(run)
    assert found.decision is Decision.PASSED
    assert row(found, Figure.DECODE_RATE).change is Change.WORSE
    assert judged(run, threshold=0.01).decision is Decision.REGRESSED


def test_noise_is_inconclusive_and_says_what_it_could_have_seen(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", noise=LOUD))
    assert found.decision is Decision.INCONCLUSIVE
    assert headline(found) == ("INCONCLUSIVE: 2 of 2 decode rates cannot be told from a loss of 5%")
    assert found.smallest is not None
    assert found.rounds is not None
    assert found.smallest > 0.2
    assert found.rounds > 50
    # Its own command, without what says how long and where.
    assert found.command == f"bench ab --repeats {found.rounds}"
    assert power(found).endswith(f"takes {found.rounds}. To measure more: {found.command}")


def test_a_loss_beside_the_threshold_is_said_to_be_too_near(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", change=times(decode_rate=0.95)))
    assert found.decision is Decision.INCONCLUSIVE
    assert power(found).endswith("what is lost lies too near it.")


def test_a_noisy_latency_is_no_reason_to_be_inconclusive(tmp_path: Path) -> None:
    def jitter(sample: Sample) -> Sample:
        return sample.model_copy(update={"ttft_s": 0.1 * math.exp(LOUD[sample.round % 3])})

    found = judged(ab_run(tmp_path / "run", change=jitter))
    assert row(found, Figure.TTFT).decision is Decision.INCONCLUSIVE
    assert found.decision is Decision.PASSED


def test_two_rounds_are_inconclusive_with_words(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", rounds=2, change=times(decode_rate=0.5)))
    assert found.decision is Decision.INCONCLUSIVE
    assert "2 rounds measured on both sides, and 3 are needed" in str(
        row(found, Figure.DECODE_RATE).reason
    )
    assert found.smallest is None
    assert "cannot say" in power(found)
    assert found.command == "bench ab --repeats 6"


def test_two_runs_are_apart_and_it_is_said(tmp_path: Path) -> None:
    one, other = single_run(tmp_path / "one"), single_run(tmp_path / "two")
    found = gate(str(one), str(other), threshold=0.05)
    assert not found.paired
    assert found.decision is Decision.PASSED
    assert any("`bench ab` measures both in turns" in remark for remark in found.remarks)
    assert found.command.startswith("bench ab --baseline-runner … --candidate-runner … --repeats ")


def test_what_forbids_a_comparison_is_refused_unless_forced(tmp_path: Path) -> None:
    other_machine = MACHINE.model_copy(update={"cpu": "Another Processor"})
    one = single_run(tmp_path / "one")
    other = single_run(tmp_path / "two", machine=other_machine)
    with pytest.raises(CompareError, match="Another Processor"):
        gate(str(one), str(other), threshold=0.05)
    found = gate(str(one), str(other), threshold=0.05, force=True)
    assert any(one.forbids for one in found.differences)


def lose_all(sample: Sample) -> Sample:
    return sample.model_copy(update={"status": "failed", "reason": "it hung up"})


def test_a_candidate_that_fails_is_regressed_with_its_reason(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", change=lose_all, only="draft"))
    assert found.decision is Decision.REGRESSED
    lost = row(found, Figure.DECODE_RATE)
    assert lost.decision is Decision.REGRESSED
    assert lost.reason == "the candidate has no figures: it hung up"
    assert [one.figure for one in found.rows if one.trial == FAST] == [Figure.DECODE_RATE]
    # What can be said of the other trial still is.
    assert "in any other trial would have been" in power(found)


def test_a_candidate_that_fails_wholly_is_regressed_too(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", change=lose_all))
    assert found.decision is Decision.REGRESSED
    assert len(found.of(Decision.REGRESSED)) == 2


def test_a_baseline_that_fails_is_inconclusive(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", before=lose_all, only="draft"))
    assert found.decision is Decision.INCONCLUSIVE
    assert row(found, Figure.DECODE_RATE).reason == "the baseline has no figures: it hung up"


def test_a_candidate_that_drafts_nothing_is_regressed(tmp_path: Path) -> None:
    silent = changed(drafted=0, accepted=0)
    found = judged(ab_run(tmp_path / "run", change=silent, only="draft"))
    assert found.decision is Decision.REGRESSED
    assert "asked for draft-model, drafted nothing" in str(row(found, Figure.DECODE_RATE).reason)
    found = judged(ab_run(tmp_path / "both", change=silent, before=silent, only="draft"))
    assert found.decision is Decision.INCONCLUSIVE
    assert "neither side has figures" in str(row(found, Figure.DECODE_RATE).reason)


def test_a_candidate_that_accepts_nothing_is_regressed(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", change=changed(accepted=0), only="draft"))
    assert row(found, Figure.ACCEPTANCE_RATE).decision is Decision.REGRESSED


def test_a_prompt_that_is_never_answered_is_a_regression(tmp_path: Path) -> None:
    def lose(sample: Sample) -> Sample:
        return lose_all(sample) if sample.prompt == "p2" else sample

    found = judged(ab_run(tmp_path / "run", change=lose, only="draft"))
    assert found.decision is Decision.REGRESSED
    lost = row(found, Figure.REQUESTS)
    assert str(lost.reason).startswith("no answer in any round to p2; 6 of 12 requests of the can")


def test_a_request_that_fails_once_is_only_said(tmp_path: Path) -> None:
    def lose(sample: Sample) -> Sample:
        return lose_all(sample) if (sample.prompt, sample.round) == ("p2", 2) else sample

    found = judged(ab_run(tmp_path / "run", change=lose, only="draft"))
    assert found.decision is Decision.PASSED
    lost = row(found, Figure.REQUESTS)
    assert lost.decision is Decision.INCONCLUSIVE
    assert str(lost.reason).startswith("1 of 12 requests of the candidate failed")
    # Where the baseline loses as many there is nothing to say.
    found = judged(ab_run(tmp_path / "both", change=lose, before=lose, only="draft"))
    assert not [one for one in found.rows if one.figure is Figure.REQUESTS]


def lacking(folder: Path, *names: str) -> Path:
    """The run without what its candidate's speculating arm left in these files."""
    for name in names:
        file = folder / name
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if '"candidate-draft"' not in line))
    return folder


def test_an_interrupted_candidate_is_inconclusive(tmp_path: Path) -> None:
    found = judged(lacking(ab_run(tmp_path / "run"), "samples.jsonl", "launches.jsonl"))
    assert found.decision is Decision.INCONCLUSIVE
    assert row(found, Figure.DECODE_RATE).reason == "the candidate has no figures: not measured"


def test_a_candidate_that_does_not_start_is_regressed(tmp_path: Path) -> None:
    run = lacking(ab_run(tmp_path / "run"), "samples.jsonl", "launches.jsonl")
    arm = arms_of("candidate", prefix="candidate-")[1]
    lost = make_launch(arm, status="failed", reason="it did not start: out of memory")
    with (run / "launches.jsonl").open("a") as file:
        file.write(f"{lost.model_dump_json()}\n")
    found = judged(run)
    assert found.decision is Decision.REGRESSED
    assert row(found, Figure.DECODE_RATE).reason == (
        "the candidate has no figures: it did not start: out of memory"
    )


def test_a_trial_that_the_candidate_lacks_is_said(tmp_path: Path) -> None:
    plain, _ = arms_of("llama.cpp")
    samples = samples_of([plain], rounds=6, noise=QUIET)
    lesser = write(tmp_path / "less", make_run([plain], samples))
    found = gate(str(single_run(tmp_path / "whole")), str(lesser), threshold=0.05)
    assert [one.trial for one in found.rows if one.required] == [PLAIN]
    assert found.unmatched == (f"{FAST}: of the baseline alone",)
    assert f"not judged: {FAST}: of the baseline alone" in facts(found)


def test_doubtful_samples_are_left_out_and_counted(tmp_path: Path) -> None:
    def busy(sample: Sample) -> Sample:
        if (sample.prompt, sample.round) != ("p1", 3):
            return sample
        # Another program took most of the machine, and the request was three times as slow.
        return sample.model_copy(
            update={"decode_rate": sample.decode_rate / 3, "machine_cpu_s": 12.0, "wall_s": 1.5}
            if sample.decode_rate
            else {}
        )

    found = judged(ab_run(tmp_path / "run", change=busy, only="draft"))
    assert row(found, Figure.DECODE_RATE).left_out == 1
    assert found.decision is Decision.PASSED


def test_the_worst_rows_come_first(tmp_path: Path) -> None:
    def worse(sample: Sample) -> Sample:
        spoiled = times(runner_peak_memory=1.5)(sample)
        return spoiled.model_copy(update={"ttft_s": 0.1 * math.exp(LOUD[sample.round % 3])})

    found = judged(ab_run(tmp_path / "run", change=worse, noise=QUIET))
    order = [one.decision for one in worst_first(found.rows)]
    assert order == sorted(
        order, key=[Decision.REGRESSED, Decision.INCONCLUSIVE, Decision.PASSED].index
    )
    assert found.decision is Decision.REGRESSED


def test_the_figures_of_both_sides_tell_the_change_that_the_ratio_tells(tmp_path: Path) -> None:
    """Also over prompts so unlike that the medians fall upon different ones."""

    def uneven(sample: Sample) -> Sample:
        factor = 4.0 if sample.prompt == "p2" else 1.0
        # The candidate lost two answers to the hard prompt.
        lost = sample.arm.startswith("candidate") and sample.prompt == "p1" and sample.round > 4
        return (lose_all if lost else times(decode_rate=factor))(sample)

    def slower(sample: Sample) -> Sample:
        return times(decode_rate=0.8)(uneven(sample))

    found = row(
        judged(ab_run(tmp_path / "run", noise=(0.0,), before=uneven, change=slower)),
        Figure.DECODE_RATE,
    )
    assert found.baseline is not None
    assert found.candidate is not None
    assert found.candidate / found.baseline == pytest.approx(0.8)
    assert found.ratio == pytest.approx(0.8)


def test_plain_decoding_has_no_acceptance(tmp_path: Path) -> None:
    run = ab_run(tmp_path / "run", change=changed(steps=33, accepted=None, drafted=None))
    figures = [one.figure for one in judged(run).rows if one.trial == PLAIN]
    assert figures == [Figure.DECODE_RATE, Figure.TTFT, Figure.PEAK_MEMORY]


def test_a_prompt_that_is_never_answered_is_one_whatever_the_baseline_lost(tmp_path: Path) -> None:
    def lose(prompt: str) -> Callable[[Sample], Sample]:
        return lambda sample: lose_all(sample) if sample.prompt == prompt else sample

    found = judged(ab_run(tmp_path / "run", change=lose("p2"), before=lose("p1"), only="draft"))
    assert "no answer in any round to p2" in str(row(found, Figure.REQUESTS).reason)
    assert found.decision is Decision.REGRESSED


def test_requests_that_fail_in_more_rounds_than_by_chance_are_a_regression(tmp_path: Path) -> None:
    def lose(sample: Sample) -> Sample:
        # One of two prompts in each round, and not always the same.
        return lose_all(sample) if sample.prompt == f"p{1 + sample.round % 2}" else sample

    found = judged(ab_run(tmp_path / "run", change=lose, only="draft"))
    lost = row(found, Figure.REQUESTS)
    assert lost.decision is Decision.REGRESSED
    assert str(lost.reason).startswith("in more rounds than by chance: 6 of 12 requests of the can")
    assert found.decision is Decision.REGRESSED


def test_answers_that_end_at_once_are_a_regression(tmp_path: Path) -> None:
    def end(sample: Sample) -> Sample:
        ended = changed(output_tokens=1, decode_rate=None, tokens=(7,))
        return ended(sample) if sample.prompt == "p2" else sample

    found = judged(ab_run(tmp_path / "run", change=end, only="none"))
    cut = row(found, Figure.ANSWERS, PLAIN)
    assert cut.decision is Decision.REGRESSED
    assert str(cut.reason).startswith("fewer than 8 tokens in every round for p2")
    assert found.decision is Decision.REGRESSED
    # Where the baseline ends them too there is nothing to say.
    found = judged(ab_run(tmp_path / "both", change=end, before=end, only="none"))
    assert not [one for one in found.rows if one.figure is Figure.ANSWERS]


def test_answers_that_are_much_shorter_are_named(tmp_path: Path) -> None:
    found = judged(ab_run(tmp_path / "run", change=changed(output_tokens=40), only="none"))
    assert found.decision is Decision.PASSED
    assert str(row(found, Figure.ANSWERS, PLAIN).reason).startswith("shorter by 38%")


def test_a_candidate_that_no_longer_starts_is_named(tmp_path: Path) -> None:
    """It was measured in three rounds, and broke in the fourth."""
    arms = (*arms_of("baseline", prefix="baseline-"), *arms_of("candidate", prefix="candidate-"))
    samples = [
        sample
        for sample in samples_of(arms, rounds=6, noise=(0.0,))
        if sample.arm != "candidate-draft" or sample.round < 4
    ]
    broken = make_launch(arms[3], 4, status="failed", reason="it did not start: exit 1")
    launches = [*launches_of(samples, arms), broken]
    found = judged(write(tmp_path / "run", make_run(arms, samples, launches=launches)))
    named = row(found, Figure.REQUESTS)
    assert named.decision is Decision.INCONCLUSIVE
    assert "1 launch of the candidate failed, 0 of the baseline" in str(named.reason)


def test_prompts_without_a_rate_are_counted(tmp_path: Path) -> None:
    def at_once(sample: Sample) -> Sample:
        return changed(decode_rate=None)(sample) if sample.prompt == "p2" else sample

    found = judged(ab_run(tmp_path / "run", change=at_once, only="none"))
    reason = row(found, Figure.DECODE_RATE, PLAIN).reason
    assert str(reason).startswith("made of 1 of 2 prompts")
    assert row(found, Figure.DECODE_RATE).reason is None


def test_doubts_that_only_the_candidate_has_are_named(tmp_path: Path) -> None:
    def starve(sample: Sample) -> Sample:
        slow = changed(machine_cpu_s=100.0, machine_idle_s=0.0, decode_rate=25.0)
        return slow(sample) if sample.round % 2 else sample

    found = judged(ab_run(tmp_path / "run", change=starve, only="draft"))
    reason = str(row(found, Figure.DECODE_RATE).reason)
    assert reason.startswith("6 doubtful samples of the candidate are left out (other programs")
    found = judged(ab_run(tmp_path / "both", change=starve, before=starve, only="draft"))
    assert row(found, Figure.DECODE_RATE).reason is None
