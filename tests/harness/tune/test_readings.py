"""What a run's records tell a tuning: candidates, readings, and who leaves for which reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from harness.records import Arm, Launch, Sample
from harness.run_folder import RunData
from harness.tune.evidence import PLAIN
from harness.tune.group import groups_of
from harness.tune.readings import read_known
from harness.tune.rounds import arms_of_round
from tests.harness.builders import (
    PLAIN_TOKENS,
    make_arm,
    make_launch,
    make_probe,
    make_run,
    make_samples,
)

NONE = make_arm()
K2, K4, K6 = (make_arm("mtp", k) for k in (2, 4, 6))
ARMS = (NONE, K2, K4, K6)
PROMPTS = ("p1", "p2")


def samples_of(
    arm: Arm,
    rate: float,
    rounds: int = 3,
    change: Callable[[Sample], Sample] = lambda sample: sample,
    workload: str = "coding",
) -> list[Sample]:
    rates = [rate * (1 + 0.01 * (i % 3)) for i in range(rounds * len(PROMPTS))]
    return make_samples(arm, rates, prompts=PROMPTS, workload=workload, change=change)


def run_of(
    samples: Sequence[Sample], arms: Sequence[Arm] = ARMS, launches: Sequence[Launch] | None = None
) -> RunData:
    return make_run(arms, samples, launches=launches, budget=60.0)


def changed(**changes: object) -> Callable[[Sample], Sample]:
    return lambda sample: sample.model_copy(update=changes)


def test_a_reading_has_what_follows_the_first_burst() -> None:
    known = read_known(run_of([*samples_of(NONE, 50), *samples_of(K4, 80)]))
    assert known.plain is NONE
    assert [one.arm for one in known.space.candidates] == [K2.id, K4.id, K6.id]
    assert len(known.space.families) == 1
    assert not known.left_out
    reading = next(one for one in known.readings if one.arm == K4.id)
    assert (reading.round, reading.prompt, reading.rate) == (1, "p1", 80.0)
    assert (reading.tokens, reading.steps, reading.accepted) == (64, 32, (24, 16, 8))
    assert {one.arm for one in known.readings} == {PLAIN, K4.id}
    effect = known.evidence.speedup(K4.id, "coding")
    assert effect is not None
    assert effect.ratio == pytest.approx(1.6)


def test_arms_that_differ_in_an_option_are_two_families() -> None:
    other = K4.model_copy(update={"id": "mtp-k4-p", "options": (("spec-draft-p-min", 0.6),)})
    known = read_known(run_of(samples_of(NONE, 50), (*ARMS, other)))
    assert sorted(len(family) for family in known.space.families.values()) == [1, 3]


def test_settings_that_differ_in_options_alone_are_one_group() -> None:
    options = [(("p", p), ("n", n)) for p in (0.0, 0.5, 0.9) for n in (2, 4, 8)]
    arms = [
        K4.model_copy(
            update={"id": f"mtp-{p[1]}-{n[1]}", "options": (p, n), "baseline": f"none-{n}"}
        )
        for p, n in options
    ]
    other = K4.model_copy(update={"id": "eagle", "method": "eagle3"})
    known = read_known(run_of(samples_of(NONE, 50), (NONE, *arms, other)))
    mtp, eagle = groups_of(known.space)
    assert [axis.values for axis in mtp.axes] == [(0.0, 0.5, 0.9), (2, 4, 8)]
    assert (mtp.is_modelled, eagle.is_modelled) == (True, False)
    # Two settings with n = 8 drafted nothing: nobody measures a third.
    silent = changed(drafted=0, accepted=0, accepted_per_position=())
    samples = [*samples_of(NONE, 50), *samples_of(arms[0], 60)]
    samples += [s for at in (2, 5) for s in samples_of(arms[at], 60, change=silent)]
    launches = [make_launch(arm) for arm in (NONE, arms[0], arms[2], arms[5])]
    known = read_known(run_of(samples, (NONE, *arms), launches))
    reasons = {one.arm: one.reason for one in known.left_out}
    assert set(reasons) == {"mtp-0.0-8", "mtp-0.5-8", "mtp-0.9-8"}
    assert reasons["mtp-0.9-8"].startswith("not measured, as ")


def test_plain_under_other_options_is_a_candidate_and_held_to_the_first_plains_text() -> None:
    other = NONE.model_copy(
        update={"id": "none-q8", "baseline": "none-q8", "options": (("cache-type-k", "q8_0"),)}
    )
    alike = [*samples_of(NONE, 50), *samples_of(other, 60)]
    known = read_known(run_of(alike, (*ARMS, other)))
    assert other.id in {one.arm for one in known.space.candidates}
    assert known.evidence.speedup(other.id, "coding") is not None
    differs = [*samples_of(NONE, 50), *samples_of(other, 60, change=changed(tokens=(1, 2, 3)))]
    (left,) = read_known(run_of(differs, (*ARMS, other))).left_out
    assert left.arm == other.id
    assert left.reason.startswith("not lossless")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed(drafted=0, accepted=0, accepted_per_position=()), "drafted nothing"),
        (changed(accepted=0, accepted_per_position=(0, 0)), "every drafted token was rejected"),
        (changed(status="failed", reason="it broke", decode_rate=None), "6 of 6 requests failed"),
        (changed(tokens=(*PLAIN_TOKENS[:9], 1)), "not lossless: 6 of 6 answers differ"),
        (changed(tokens=None, text_sha256=None), "not known to be lossless"),
    ],
    ids=["drafts nothing", "rejected", "failed", "another text", "text unknown"],
)
def test_who_cannot_be_recommended_leaves(change: Callable[[Sample], Sample], words: str) -> None:
    run = run_of([*samples_of(NONE, 50), *samples_of(K2, 70), *samples_of(K4, 90, change=change)])
    known = read_known(run)
    assert [one.arm for one in known.left_out] == [K4.id]
    assert words in known.left_out[0].reason
    assert [one.arm for one in known.space.candidates] == [K2.id, K6.id]
    assert K4.id not in {one.arm for one in known.readings}


def test_a_launch_that_failed_and_what_cannot_work_leave() -> None:
    never = K6.model_copy(update={"impossible": "no heads"})
    failed = make_launch(K4, status="failed", reason="out of memory")
    launches = [make_launch(NONE), make_launch(K2), failed]
    run = run_of([*samples_of(NONE, 50), *samples_of(K2, 70)], (NONE, K2, K4, never), launches)
    left = {one.arm: one.reason for one in read_known(run).left_out}
    assert left == {K4.id: "out of memory", never.id: "no heads"}


def test_a_near_tie_is_lossless() -> None:
    text = (*PLAIN_TOKENS[:9], -1, *PLAIN_TOKENS[10:])
    plain, differs = samples_of(NONE, 50), samples_of(K4, 90, change=changed(tokens=text))
    for logprobs, leaves in (((-0.7, -0.8), False), ((-0.1, -3.0), True)):
        probes = [make_probe(sample, 9, *logprobs) for sample in plain[:2]]
        run = make_run(ARMS, [*plain, *differs], probes=probes, budget=60.0)
        assert bool(read_known(run).left_out) is leaves


@pytest.mark.parametrize("method", ["none", "mtp"])
def test_a_near_tie_under_other_options_is_lossless_too(method: str) -> None:
    """Other batches round otherwise; what is held against it is the first plain arm's text."""
    other = make_arm(
        method,
        None if method == "none" else 4,
        id="large",
        baseline="plain-large" if method == "mtp" else "large",
        options=(("ubatch-size", 1024),),
    )
    text = (*PLAIN_TOKENS[:9], -1, *PLAIN_TOKENS[10:])
    plain, differs = samples_of(NONE, 50), samples_of(other, 90, change=changed(tokens=text))
    for logprobs, leaves in (((-0.7, -0.8), False), ((-0.1, -3.0), True)):
        probes = [make_probe(sample, 9, *logprobs) for sample in plain[:2]]
        run = make_run((NONE, other), [*plain, *differs], probes=probes, budget=60.0)
        assert bool(read_known(run).left_out) is leaves
    (left,) = read_known(make_run((NONE, other), [*plain, *differs], budget=60.0)).left_out
    assert left.reason.endswith("whether by a near-tie is not known: the run did not come to it")


def test_on_the_workload_where_nothing_is_drafted_it_has_no_readings() -> None:
    silent = changed(drafted=0, accepted=0, accepted_per_position=())
    run = run_of(
        [
            *samples_of(NONE, 50),
            *samples_of(NONE, 50, workload="prose"),
            *samples_of(K4, 90),
            *samples_of(K4, 55, change=silent, workload="prose"),
        ]
    )
    known = read_known(run)
    assert not known.left_out
    assert {one.workload for one in known.readings if one.arm == K4.id} == {"coding"}


def test_doubtful_samples_are_left_out() -> None:
    plain, drafted = samples_of(NONE, 50), samples_of(K4, 90)
    hot = drafted[0].model_copy(update={"cpu_throttled": 3})
    known = read_known(run_of([*plain, hot, *drafted[1:]]))
    assert len([one for one in known.readings if one.arm == K4.id]) == len(drafted) - 1


def test_without_plain_there_is_nothing_to_tell() -> None:
    failed = changed(status="failed", reason="it broke", decode_rate=None)
    known = read_known(run_of([*samples_of(NONE, 50, change=failed), *samples_of(K4, 90)]))
    assert known.fault is not None
    assert "it broke" in known.fault
    assert arms_of_round(run_of(samples_of(NONE, 50, change=failed)), 2) == ()


def test_a_round_hangs_on_nothing_but_the_rounds_before_it() -> None:
    samples = [*samples_of(NONE, 50, 2), *samples_of(K4, 80, 2), *samples_of(K6, 70, 2)]
    launches = [make_launch(arm, n) for arm in (NONE, K4, K6) for n in (1, 2)]
    run = run_of(samples, launches=launches)
    first = [sample for sample in run.samples if sample.round == 1]
    cut = dataclasses.replace(run, samples=tuple(first), launches=tuple(launches[::2]))
    wanted = arms_of_round(cut, 2)
    assert wanted[0] == NONE.id
    assert len(wanted) > 1
    # Whatever part of round 2 is measured, a resumed tuning asks for the same arms in it.
    for kept in range(len(samples) + 1):
        part = dataclasses.replace(
            run, samples=tuple(s for n, s in enumerate(run.samples) if s.round == 1 or n < kept)
        )
        assert arms_of_round(part, 2) == wanted


def test_the_first_round_needs_no_evidence() -> None:
    assert arms_of_round(run_of([], launches=[]), 1) == (NONE.id, K4.id, K6.id)


def test_where_two_of_a_family_have_left_the_others_would_as_well() -> None:
    silent = changed(drafted=0, accepted=0, accepted_per_position=())
    samples = [
        *samples_of(NONE, 50),
        *samples_of(K4, 50, change=silent),
        *samples_of(K6, 50, change=silent),
    ]
    launches = [make_launch(arm) for arm in (NONE, K4, K6)]
    known = read_known(run_of(samples, launches=launches))
    assert not known.space.candidates
    reasons = {one.arm: one.reason for one in known.left_out}
    assert reasons[K2.id] == "not measured, as mtp k=6: drafted nothing"
    # One alone says nothing of the others.
    known = read_known(run_of(samples[:12], launches=launches[:2]))
    assert [one.arm for one in known.space.candidates] == [K2.id, K6.id]


def test_silence_on_one_workload_is_known() -> None:
    silent = changed(drafted=0, accepted=0, accepted_per_position=())
    samples = [
        *samples_of(NONE, 50),
        *samples_of(NONE, 50, workload="prose"),
        *samples_of(K4, 90),
        *samples_of(K4, 55, change=silent, workload="prose"),
    ]
    assert read_known(run_of(samples)).space.silent == {(K4.id, "prose")}


def test_plain_that_was_not_asked_yet_is_no_fault() -> None:
    known = read_known(run_of(samples_of(K4, 90), launches=[make_launch(K4)]))
    assert known.fault is None
    assert known.evidence.speedup(K4.id, "coding") is None


def test_plain_that_no_longer_starts_ends_the_tuning_and_what_is_known_stays() -> None:
    samples = [
        s for arm, rate in ((NONE, 50), (K4, 60), (K6, 90)) for s in samples_of(arm, rate, 1)
    ]
    launches = [make_launch(arm) for arm in (NONE, K4, K6)]
    assert arms_of_round(run_of(samples, launches=launches), 3)
    lost = make_launch(NONE, 2, status="failed", reason="out of memory")
    run = run_of(samples, launches=[*launches, lost])
    known = read_known(run)
    assert (known.fault, known.plain_lost) == (None, True)
    assert known.evidence.speedup(K6.id, "coding") is not None
    assert arms_of_round(run, 3) == ()
