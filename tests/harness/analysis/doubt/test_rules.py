"""Each rule has samples that break it and no other, and samples at its boundary that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.doubt import (
    arrivals,
    busy,
    cached,
    clocks_apart,
    early_end,
    loop,
    rejected,
    residency,
    retried,
    slots,
    starved,
    throttled,
)
from harness.analysis.doubt.judge import MARKS, judge
from harness.records import Session
from harness.run_folder import RunData
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import (
    MACHINE,
    PLAIN_TOKENS,
    make_arm,
    make_launch,
    make_run,
    make_sample,
)

PLAIN = make_arm()
MTP = make_arm("mtp", 3)
BURSTS = tuple((0.04 * step, 2) for step in range(33))
FULL = {"wall_s": 1.0, "machine_cpu_s": 8.0}
"""All of the machine's 8 threads were busy for the second that the request took."""
READ_AT_ONCE = ((0.0, 1), (0.0, 64))
LOOP = (*PLAIN_TOKENS[:33], *[1, 2] * 16)


def run_of(changes, arm=MTP, launch=None) -> RunData:
    """Six samples in two rounds, of which the last one has `changes`."""
    samples = [
        make_sample(arm, prompt=prompt, round=number, launch=f"r{number}-{arm.id}", bursts=BURSTS)
        for number in (1, 2)
        for prompt in ("p1", "p2", "p3")
    ]
    samples[-1] = samples[-1].model_copy(update=changes)
    launches = [make_launch(arm, 1), make_launch(arm, 2, **(launch or {}))]
    return make_run([PLAIN, arm], samples, launches=launches)


def marked(run: RunData) -> dict[str, int]:
    """Name of a mark -> how many samples have it."""
    doubts = judge(run)
    found = [mark.name for sample in run.samples for mark in doubts.of(sample)]
    return {name: found.count(name) for name in found}


BREAKING = {
    busy.MARK: {**FULL, "runner_cpu_s": 7.4},
    starved.MARK: {"wall_s": 1.5, "runner_cpu_s": 2.2},
    throttled.MARK: {"gpu_throttled": ("heat, by hardware",)},
    residency.MARK: {"wall_s": 1.5, "runner_major_faults": 1501},
    clocks_apart.MARK: {"decode_s": 1.28, "runner_decode_s": 1.15},
    arrivals.MARK: {"bursts": BURSTS[:16]},
    retried.MARK: {"launch": "r2-mtp-k3-2"},
    cached.MARK: {"cached_tokens": 1},
    early_end.MARK: {"output_tokens": 7},
    loop.MARK: {"tokens": LOOP},
    rejected.MARK: {"accepted": 0, "drafted": 32},
}
"""What breaks a rule that looks at samples."""


@pytest.mark.parametrize("mark", BREAKING, ids=lambda mark: mark.name)
def test_a_sample_breaks_this_rule_and_no_other(mark) -> None:
    run = run_of(BREAKING[mark])
    again = make_launch(MTP, 2, id="r2-mtp-k3-2")
    run = RunData(run.manifest, (*run.launches, again), run.samples, run.sessions)
    assert marked(run) == {mark.name: 1}


def test_every_rule_is_broken_by_some_sample() -> None:
    assert {*BREAKING, slots.MARK} == set(MARKS)
    assert len({mark.name for mark in MARKS}) == len(MARKS)


def test_quiet_samples_raise_no_doubt() -> None:
    assert marked(run_of({})) == {}


@pytest.mark.parametrize(
    "changes",
    [
        # busy: just as much as is noise; enough of others, but a quarter of a processor left; not
        # told. Of another machine's idle time the machine's threads say nothing.
        {**FULL, "runner_cpu_s": 7.425},
        {**FULL, "machine_cpu_s": 7.7, "runner_cpu_s": 6.0},
        {**FULL, "runner_cpu_s": 6.0, "machine_idle_s": 0.25},
        {**FULL, "runner_cpu_s": None},
        {"machine_cpu_s": None},
        # starved: 0.8 of the median of 2.9 in 1.5 s, less two ticks
        {"runner_cpu_s": 2.31},
        {"runner_cpu_s": None},
        {"gpu_throttled": (), "cpu_throttled": 0},
        {"runner_major_faults": 1500},
        {"runner_peak_memory": 900_000_000},
        {"runner_peak_memory": None},
        {"decode_s": 1.28, "runner_decode_s": 1.17},
        {"decode_s": 0.0, "runner_decode_s": 1.0, "bursts": READ_AT_ONCE[:1], "steps": 1},
        {"decode_s": None, "runner_decode_s": 1.0},
        {"runner_decode_s": 0.0},
        {"bursts": BURSTS[:17]},
        {"bursts": ()},
        {"bursts": BURSTS[:2], "steps": 7},
        {"bursts": BURSTS[:2], "steps": None},
        {"cached_tokens": 0},
        {"cached_tokens": None},
        {"output_tokens": 8},
        {"output_tokens": None},
        {"tokens": LOOP[:-1]},
        {"accepted": 0, "drafted": 31},
        {"accepted": 1, "drafted": 96},
        {"accepted": None, "drafted": 96},
    ],
)
def test_what_is_unknown_or_within_bounds_raises_no_doubt(changes) -> None:
    assert marked(run_of(changes)) == {}


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({**FULL, "runner_cpu_s": 7.9, "machine_cpu_s": 8.6}, busy.MARK),
        ({**FULL, "runner_cpu_s": 6.0, "machine_idle_s": 0.24}, busy.MARK),
        ({"runner_cpu_s": 2.29}, starved.MARK),
        ({"cpu_throttled": 1}, throttled.MARK),
        ({"runner_peak_memory": 899_999_999}, residency.MARK),
        ({"decode_s": 0.0, "runner_decode_s": 1.0, "bursts": READ_AT_ONCE, "steps": 2}, None),
    ],
)
def test_just_beyond_a_bound_there_is_a_doubt(changes, mark) -> None:
    assert marked(run_of(changes)) == {(mark or clocks_apart.MARK).name: 1}


def test_lookups_and_drawn_acceptance_may_have_everything_rejected() -> None:
    everything = {"accepted": 0, "drafted": 96}
    drawn = MTP.model_copy(update={"synthetic": SyntheticAcceptance(rates=(0.0,))})
    assert marked(run_of(everything, make_arm("ngram-mod", 3))) == {}
    assert marked(run_of(everything, drawn)) == {}
    assert marked(run_of(everything, make_arm("ngram-mod+mtp", 3))) == {"rejected": 1}


def test_drawn_acceptance_writes_no_text_that_could_loop() -> None:
    drawn = MTP.model_copy(update={"synthetic": SyntheticAcceptance(rates=(0.5,))})
    assert marked(run_of({"tokens": LOOP}, drawn)) == {}


def test_slots_are_those_of_an_option_or_those_that_a_server_tells() -> None:
    def with_option(value):
        return MTP.model_copy(update={"options": (("parallel", value),)})

    assert marked(run_of({}, with_option(2))) == {"slots": 6}
    assert marked(run_of({}, with_option(1))) == {}
    assert marked(run_of({}, launch={"slots": 4})) == {"slots": 3}
    assert marked(run_of({}, launch={"slots": 1})) == {}


def test_a_gpu_computes_where_the_processor_has_nothing_to_do() -> None:
    run = run_of({"runner_cpu_s": 0.1, "runner_peak_memory": 1})
    (info,) = run.manifest.runners
    manifest = run.manifest.model_copy(
        update={"runners": (info.model_copy(update={"devices": ("CUDA0: A GPU",)}),)}
    )
    assert marked(RunData(manifest, run.launches, run.samples, run.sessions)) == {}


def test_weights_in_another_form_than_their_file_may_be_smaller() -> None:
    run = run_of({"runner_peak_memory": 1})
    models = tuple(
        model.model_copy(
            update={"facts": model.facts and model.facts.model_copy(update={"format": "mlx"})}
        )
        for model in run.manifest.models
    )
    manifest = run.manifest.model_copy(update={"models": models})
    assert marked(RunData(manifest, run.launches, run.samples, run.sessions)) == {}


def session(started_at: str) -> Session:
    return Session(started_at=started_at, wall_s=1, loading_s=0, waiting_s=1)


@pytest.mark.parametrize(
    ("sessions", "retries"),
    [
        (["2026-01-01T10:00:00"], {"r1-none-2", "r1-none-3"}),
        # Resumed before the third: that one follows an interruption, the second a loss.
        (["2026-01-01T10:00:00", "2026-01-01T10:06:30"], {"r1-none-2"}),
        ([], {"r1-none-2", "r1-none-3"}),
    ],
)
def test_a_retry_follows_a_loss_and_not_an_interruption(sessions, retries) -> None:
    launches = [
        make_launch(PLAIN, 1, started_at="2026-01-01T10:00:01"),
        make_launch(PLAIN, 1, id="r1-none-2", started_at="2026-01-01T10:05:00"),
        make_launch(PLAIN, 1, id="r1-none-3", started_at="2026-01-01T10:07:00"),
        make_launch(PLAIN, 2, started_at="2026-01-01T10:09:00"),
    ]
    assert retried.retries(launches, [session(start) for start in sessions]) == retries


def test_an_arm_whose_name_ends_in_a_number_is_no_retry_of_another() -> None:
    other = make_arm(id="none-2")
    assert retried.retries([make_launch(PLAIN, 1), make_launch(other, 1)], []) == frozenset()


def test_a_launch_that_failed_is_not_what_a_later_one_lost() -> None:
    launches = [make_launch(PLAIN, 1, status="failed"), make_launch(PLAIN, 1, id="r1-none-2")]
    assert retried.retries(launches, []) == frozenset()


SHARES = st.floats(0.81, 1.0)


@given(shares=st.lists(SHARES, min_size=3, max_size=12), threads=st.integers(1, 64))
def test_runners_that_get_about_alike_do_not_starve(shares, threads) -> None:
    def with_share(share: float, number: int):
        return make_sample(PLAIN, prompt=f"p{number}", wall_s=10, runner_cpu_s=10 * threads * share)

    alike = [with_share(share, number) for number, share in enumerate(shares)]
    assert starved.starved(alike) == []
    usual = [*alike, *(with_share(1.0, 100 + number) for number in range(len(shares) + 1))]
    poor = with_share(0.6, 99)
    assert starved.starved([*usual, poor]) == [poor]


@given(
    wall_s=st.floats(0.01, 100),
    others=st.floats(0, 0.5),
    runner=st.floats(0, 64),
    threads=st.integers(1, 64),
)
def test_half_a_processor_of_others_is_never_busy(wall_s, others, runner, threads) -> None:
    sample = make_sample(
        PLAIN,
        wall_s=wall_s,
        runner_cpu_s=runner * wall_s,
        machine_cpu_s=(runner + others) * wall_s,
        machine_idle_s=0.0,
    )
    assert not busy.is_busy(sample, threads)


def test_failed_samples_are_not_judged() -> None:
    run = run_of({**BREAKING[busy.MARK], "status": "failed"})
    assert MACHINE.threads == 8
    assert marked(run) == {}
