"""Which settings a tuning measures, and what it says in the end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.suite import MOST_FOR_TUNING
from harness.tune.evidence import PLAIN, Evidence, Reading
from harness.tune.recommend import recommended
from harness.tune.search import GRID_ROUNDS, Done, Measure, Outcome, most_launches, next_step
from harness.tune.space import Candidate, Space
from tests.harness.tune.landscapes import Cost, arm_of, launch, plain, readings, space, speedup


def tuned(
    cost: Cost, alpha: float, noise: float = 0.01, seed: int = 0
) -> tuple[Done, list[Reading], list[tuple[str, ...]]]:
    """A whole tuning of one family over k = 1..8."""
    found: list[Reading] = []
    rounds: list[tuple[str, ...]] = []
    while isinstance(step := next_step(space(), Evidence(found)), Measure):
        rounds.append(step.arms)
        number = len(rounds)
        found += plain(number, noise=noise, seed=seed)
        for k in range(1, 9):
            if arm_of(k) in step.arms:
                found += launch(k, number, alpha, cost, noise=noise, seed=seed)
        assert number <= MOST_FOR_TUNING
    return step, found, rounds


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("cost", "alpha"),
    [
        (lambda k: 1.05 + 0.1 * k, 0.8),
        (lambda k: 1.05 + 0.35 * k, 0.7),
        (lambda k: (1.05 + 0.08 * k) * (6 if k >= 4 else 1), 0.8),
        (lambda k: (1.05 + 0.08 * k) * (6 if k >= 2 else 1), 0.8),
    ],
    ids=["cheap rows", "dear rows", "cliff at 4", "cliff at 2"],
)
def test_the_best_is_found_in_few_launches(cost: Cost, alpha: float, seed: int) -> None:
    done, _, rounds = tuned(cost, alpha, seed=seed)
    (pick,) = done.picks
    best = max(speedup(k, alpha, cost) for k in range(1, 9))
    assert pick.outcome is Outcome.FASTER
    k = int(pick.arm.removeprefix("mtp-k"))
    assert speedup(k, alpha, cost) > 0.97 * best
    assert pick.interval is not None
    assert pick.interval.low > 1
    assert sum(map(len, rounds)) < 3 * 8


def test_plain_is_best_is_an_answer() -> None:
    done, _, rounds = tuned(lambda k: 1.2 + 0.5 * k, 0.3)
    (pick,) = done.picks
    assert (pick.outcome, pick.arm) == (Outcome.PLAIN, PLAIN)
    assert len(rounds) <= 4


def test_what_noise_hides_is_not_proven() -> None:
    """3% faster under noise of 30%: whatever it looks like, nothing is claimed."""
    done, _, _ = tuned(lambda k: sum(0.5**i for i in range(k + 1)) / 1.03, 0.5, noise=0.3)
    (pick,) = done.picks
    assert pick.outcome is Outcome.UNPROVEN
    assert done.cut_off


def test_nothing_faster_is_hardly_ever_called_faster() -> None:
    """All lengths are as fast as plain, under noise: 300 tunings, of which 2.5% may err."""
    wrong = 0
    for seed in range(300):
        done, _, _ = tuned(lambda k: sum(0.5**i for i in range(k + 1)), 0.5, noise=0.05, seed=seed)
        wrong += done.picks[0].outcome is Outcome.FASTER
    assert wrong <= 12


def test_settings_alike_are_named() -> None:
    found: list[Reading] = []
    for number in range(1, 6):
        found += plain(number, noise=0.01)
        for arm in ("a-k4", "b-k4"):
            found += readings(arm, number, 1.5, noise=0.01)
        found += readings("c-k4", number, 1.2, noise=0.01)
    several = Space(tuple(Candidate(f"{f}-k4", f, 4) for f in "abc"), ("coding",))
    (pick,) = next_done(several, found).picks
    assert {pick.arm, *pick.alike} == {"a-k4", "b-k4"}


def next_done(within: Space, found: list[Reading]) -> Done:
    step = next_step(within, Evidence(found), out_of_time=True)
    assert isinstance(step, Done)
    return step


def test_the_first_round_has_two_lengths_of_each_family() -> None:
    step = next_step(space(families=("mtp", "ngram")), Evidence(()))
    assert step == Measure(("mtp-k3", "mtp-k8", "ngram-k3", "ngram-k8"))
    assert next_step(space(lengths=(4,)), Evidence(())) == Measure(("mtp-k4",))


def test_nothing_to_choose_from_and_no_time_are_no_claims() -> None:
    for within, late in ((Space((), ("coding",)), False), (space(), True)):
        step = next_step(within, Evidence(()), out_of_time=late)
        assert isinstance(step, Done)
        assert [pick.outcome for pick in step.picks] == [Outcome.UNPROVEN]
        assert step.picks[0].arm == PLAIN
        assert step.picks[0].speedup is None


def test_what_is_left_out_is_measured_no_more() -> None:
    def cost(k: int) -> float:
        return 1.05 + 0.1 * k

    found = [*plain(1), *launch(3, 1, 0.8, cost), *launch(8, 1, 0.8, cost)]
    step = next_step(space(), Evidence(found))
    assert isinstance(step, Measure)
    less = space().without(step.arms)
    after = next_step(less, Evidence(r for r in found if r.arm not in step.arms))
    assert not isinstance(after, Measure) or not set(after.arms) & set(step.arms)


def test_what_is_proven_is_picked_though_the_curve_would_have_it_slower_than_plain() -> None:
    found: list[Reading] = []
    for number in range(1, 4):
        found += plain(number, noise=0.001)
        for k, gain in ((2, 0.8), (4, 1.045)):
            found += readings(arm_of(k), number, gain, k=k, alpha=0.5, noise=0.001)
    done = next_step(space((2, 4)), Evidence(found), out_of_time=True)
    assert isinstance(done, Done)
    (pick,) = done.picks
    assert (pick.outcome, pick.arm) == (Outcome.FASTER, arm_of(4))
    assert recommended(space((2, 4)), Evidence(found), pick) == arm_of(4)


def test_noise_does_not_make_a_tuning_as_long_as_the_sweep() -> None:
    done, found, rounds = tuned(lambda k: 1.05 + 0.35 * k, 0.7, noise=0.25)
    over = most_launches(space())
    assert over == 0.6 * 5 * 9
    assert sum(len(arms) + 1 for arms in rounds[:-1]) < over <= Evidence(found).launches
    assert done.cut_off


def test_on_a_noisy_machine_settings_alike_are_not_told_apart_for_long() -> None:
    """Nobody doubts that they are faster: more rounds than a sweep's tell nothing that it would."""
    done, _, rounds = tuned(lambda k: 1.3, 0.6, noise=0.08)
    (pick,) = done.picks
    assert pick.outcome is Outcome.FASTER
    assert len(pick.alike) >= 2
    assert len(rounds) <= GRID_ROUNDS + 1
    assert not done.cut_off


def test_two_rounds_prove_nothing() -> None:
    found = [r for n in (1, 2) for r in (*plain(n), *readings("mtp-k4", n, 3.0, k=4, alpha=0.8))]
    (pick,) = next_done(space(lengths=(4,)), found).picks
    assert pick.outcome is Outcome.UNPROVEN
    assert next_step(space(lengths=(4,)), Evidence(found)) == Measure(("mtp-k4",))


def test_each_workload_has_its_own_best() -> None:
    found: list[Reading] = []
    for number in range(1, 5):
        for workload, gains in (("coding", (2.0, 1.2)), ("prose", (0.8, 1.3))):
            found += readings(PLAIN, number, workload=workload, noise=0.005)
            for name, gain in zip(("a", "b"), gains, strict=True):
                found += readings(f"{name}-k4", number, gain, workload=workload, noise=0.005)
    within = Space(tuple(Candidate(f"{f}-k4", f, 4) for f in "ab"), ("coding", "prose"))
    picks = next_done(within, found).picks
    assert [(pick.workload, pick.arm) for pick in picks] == [("coding", "a-k4"), ("prose", "b-k4")]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_in_which_readings_are_told_is_nothing(seed: int) -> None:
    """What a resumed tuning reads is the same in any order, and so is what it does."""
    _, found, _ = tuned(lambda k: 1.05 + 0.2 * k, 0.7, noise=0.03, seed=seed % 7)
    number = 1 + seed % max(reading.round for reading in found)
    known = [reading for reading in found if reading.round <= number]
    step = next_step(space(), Evidence(known))
    random.Random(seed).shuffle(known)
    assert next_step(space(), Evidence(known)) == step


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.01, 100), seed=st.integers(0, 50))
def test_a_faster_machine_changes_no_choice(factor: float, seed: int) -> None:
    """Only ratios count: all rates times the same are the same landscape."""
    found = []
    for number in (1, 2):
        found += plain(number, noise=0.02, seed=seed)
        for k in (3, 5, 8):
            found += launch(k, number, 0.75, lambda k: 1.05 + 0.15 * k, noise=0.02, seed=seed)
    scaled = [
        Reading(
            arm=r.arm,
            round=r.round,
            workload=r.workload,
            prompt=r.prompt,
            rate=factor * r.rate,
            tokens=r.tokens,
            steps=r.steps,
            accepted=r.accepted,
        )
        for r in found
    ]
    assert next_step(space(), Evidence(scaled)) == next_step(space(), Evidence(found))


def test_a_family_whose_first_round_was_doubtful_is_measured_again() -> None:
    """Plain decoding has no reading of round 1, so that nothing stands against it there."""
    within = space(families=("mtp", "ngram"))
    found = [r for name in ("mtp", "ngram") for k in (3, 8) for r in readings(f"{name}-k{k}", 1)]
    found += [*plain(2), *readings("mtp-k3", 2, 0.5, k=3), *readings("mtp-k8", 2, 0.4, k=8)]
    assert next_step(within, Evidence(found)) == Measure(("ngram-k8", "ngram-k3"))
    # Out of time, nobody knows that plain is best.
    (pick,) = next_done(within, found).picks
    assert (pick.outcome, pick.arm) == (Outcome.UNPROVEN, PLAIN)
    known = [*found, *readings("ngram-k3", 2, 0.5, k=3), *readings("ngram-k8", 2, 0.4, k=8)]
    (pick,) = next_done(within, known).picks
    assert (pick.outcome, pick.arm) == (Outcome.PLAIN, PLAIN)


def test_a_single_round_near_plain_does_not_prove_that_plain_is_best() -> None:
    """Until a second one, how much rounds differ on this machine is a guess."""
    found = [*plain(1), *readings("mtp-k3", 1, 0.93, k=3), *readings("mtp-k8", 1, 0.4, k=8)]
    assert next_step(space((3, 8)), Evidence(found)) == Measure(("mtp-k3",))
    (pick,) = next_done(space((3, 8)), found).picks
    assert pick.outcome is Outcome.UNPROVEN
    found += [*plain(2), *readings("mtp-k3", 2, 0.93, k=3)]
    (pick,) = next_done(space((3, 8)), found).picks
    assert pick.outcome is Outcome.PLAIN


def test_what_is_silent_on_a_workload_is_not_measured_for_it_again() -> None:
    within = space(families=("mtp", "ngram"))
    silent = frozenset((f"ngram-k{k}", "coding") for k in (3, 8))
    within = Space(within.candidates, within.workloads, silent)
    found = [*plain(1), *readings("mtp-k3", 1, 0.5, k=3), *readings("mtp-k8", 1, 0.4, k=8)]
    step = next_step(within, Evidence(found))
    assert not isinstance(step, Measure) or not any("ngram" in arm for arm in step.arms)


def test_where_the_longest_has_left_the_next_one_is_measured() -> None:
    """A curve says nothing of lengths beyond its end: 4 to 7 may be better than 3."""
    within = space().without(["mtp-k8"])
    found = [*plain(1), *launch(3, 1, 0.8, lambda k: 1.05 + 0.1 * k)]
    step = next_step(within, Evidence(found))
    assert step == Measure(("mtp-k7",))
