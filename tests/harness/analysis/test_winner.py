from __future__ import annotations

import pytest

from harness.analysis.summary import summarise
from harness.analysis.winner import Outcome, find_winners
from tests.harness.builders import make_arm, make_run, make_sample, make_samples

PLAIN = make_arm()
K2, K4 = make_arm("ngram-mod", 2), make_arm("ngram-mod", 4)
SLOW = [50.0, 40.0, 60.0, 50.0, 40.0, 60.0]
WOBBLE = [1.02, 0.98, 1.01, 0.99, 1.015, 0.985]


def times(factor, wobble=WOBBLE):
    return [rate * factor * noise for rate, noise in zip(SLOW, wobble, strict=True)]


def contest(*settings, plain=SLOW):
    """The one contest of a run: settings are (arm, rates, changes)."""
    samples = make_samples(PLAIN, plain)
    for arm, rates, changes in settings:
        samples += make_samples(
            arm, rates, change=lambda sample, c=changes: sample.model_copy(update=c)
        )
    run = make_run([PLAIN, *(arm for arm, _, _ in settings)], samples)
    (found,) = find_winners(run, summarise(run))
    return found


def test_a_winner_has_its_whole_interval_above_one():
    found = contest((K2, times(1.1), {}), (K4, times(1.5), {}))
    assert found.outcome is Outcome.SPECULATION
    assert found.best.arm == K4
    assert found.rivals == ()
    assert found.screen is None


def test_the_highest_mean_does_not_win_unproven():
    noisy = times(2.0, [0.2, 3.0, 0.3, 2.5, 0.9, 1.0])
    found = contest((K2, times(1.1), {}), (K4, noisy, {}))
    assert found.best.arm == K2
    assert [rival.arm for rival in found.rivals] == [K4]


def test_settings_that_cannot_be_told_apart_are_rivals():
    found = contest((K2, times(1.5, WOBBLE[::-1]), {}), (K4, times(1.501), {}))
    assert found.best.arm == K4
    assert [rival.arm for rival in found.rivals] == [K2]


def test_plain_is_fastest_only_if_every_setting_is_proven_slower():
    assert contest((K2, times(0.9), {}), (K4, times(0.5), {})).outcome is Outcome.PLAIN
    unproven = contest((K2, times(1.0), {}), (K4, times(0.5), {}))
    assert unproven.outcome is Outcome.UNPROVEN
    assert unproven.best.arm == K2


def test_a_win_with_every_draft_rejected_is_refused():
    found = contest((K4, times(1.5), {"accepted": 0}))
    assert found.outcome is Outcome.UNPROVEN


@pytest.mark.parametrize("settings", [(), ((K4, times(1.5), {"drafted": 0}),)])
def test_nothing_to_compare(settings):
    found = contest(*settings)
    assert found.outcome is Outcome.NO_SPEEDUP
    assert found.best is None


def test_few_pairs_are_told():
    samples = [*make_samples(PLAIN, SLOW[:3]), *make_samples(K4, times(1.5)[:3])]
    run = make_run([PLAIN, K4], samples)
    (found,) = find_winners(run, summarise(run))
    assert found.outcome is Outcome.SPECULATION
    assert found.screen == "only 3 pairs"


def test_few_rounds_are_told():
    prompts = ("p1", "p2", "p3")
    samples = [
        *make_samples(PLAIN, SLOW, prompts=prompts),
        *make_samples(K4, times(1.5), prompts=prompts),
    ]
    run = make_run([PLAIN, K4], samples)
    (found,) = find_winners(run, summarise(run))
    assert found.outcome is Outcome.SPECULATION
    assert found.screen == "only 2 rounds"


def test_one_round_is_told():
    prompts = ("p1", "p2", "p3", "p4", "p5", "p6")
    samples = [
        *make_samples(PLAIN, SLOW, prompts=prompts),
        *make_samples(K4, times(1.5), prompts=prompts),
    ]
    run = make_run([PLAIN, K4], samples)
    (found,) = find_winners(run, summarise(run))
    assert found.screen == "only 1 round"


def test_the_best_of_many_needs_more_than_its_own_interval():
    gaining = times(1.02)
    alone = contest((K4, gaining, {}))
    assert alone.outcome is Outcome.SPECULATION
    assert alone.compared == 1
    others = [(make_arm("ngram-mod", k), times(0.9), {}) for k in range(5, 65)]
    crowd = contest((K4, gaining, {}), *others)
    assert crowd.outcome is Outcome.UNPROVEN
    assert crowd.best.arm == K4
    assert crowd.best.speedup.interval.low > 1
    assert crowd.compared == 61


def test_launches_that_differ_are_not_proof():
    prompts = ("p1", "p2", "p3", "p4")
    lucky = [1.0] * 4 + [1.03] * 4 + [1.06] * 4
    wobble = (WOBBLE * 2)[:12]
    samples = [
        *make_samples(PLAIN, [50.0] * 12, prompts=prompts),
        *make_samples(
            K4, [50 * a * b**0.1 for a, b in zip(lucky, wobble, strict=True)], prompts=prompts
        ),
    ]
    run = make_run([PLAIN, K4], samples)
    (found,) = find_winners(run, summarise(run))
    assert found.outcome is Outcome.UNPROVEN


def test_settings_that_failed_are_counted():
    found = contest((K2, times(0.5), {}), (K4, times(1.5), {"drafted": 0}))
    assert found.outcome is Outcome.PLAIN
    assert (found.compared, found.failed) == (1, 1)


def test_one_contest_for_each_workload_length_and_baseline():
    other = make_arm(id="other", options=(("threads", 2),), baseline="other")
    samples = [
        make_sample(arm, workload=workload, max_tokens=length)
        for arm in (PLAIN, other)
        for workload in ("coding", "prose")
        for length in (64, 128)
    ]
    run = make_run([PLAIN, other], samples)
    assert len(find_winners(run, summarise(run))) == 8
