"""What a tuning for each goal holds settings against each other by, and how it says so."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable

import pytest

from harness.analysis.summary import summarise
from harness.records import Arm, Sample
from harness.report import html, markdown
from harness.report.content import build_report
from harness.report.json import render_card
from harness.report.tuning import TuningSection, tuning_section
from harness.run_folder import RunData
from harness.tune.card import Card, make_card
from harness.tune.evidence import PLAIN
from harness.tune.goal import behind, rate_of
from harness.tune.readings import read_known
from harness.tune.rounds import arms_of_round
from harness.tune.search import Outcome
from harness.tune.tuned import tuned
from harness.tuning_goal import TuningGoal
from tests.harness.builders import make_arm, make_launch, make_run, make_sample, make_samples

DECODE, THROUGHPUT, TTFT = TuningGoal.DECODE, TuningGoal.THROUGHPUT, TuningGoal.TTFT
NONE = make_arm()
LARGE = make_arm(id="none-large", baseline="none-large", options=(("ubatch-size", 1024),))
K2, K4 = make_arm("mtp", 2), make_arm("mtp", 4)
ARMS = (NONE, LARGE, K2, K4)
PROMPTS = ("p1", "p2", "p3")
ROUNDS = 4

Change = Callable[[Sample], Sample]


def timed(ttft_s: float, decode_rate: float) -> Callable[[Arm, str], list[Sample]]:
    """Requests of 65 tokens, the first of them alone; a little apart from each other."""

    def samples(arm: Arm, workload: str) -> list[Sample]:
        factors = [1 + 0.004 * ((7 * i) % 3) for i in range(ROUNDS * len(PROMPTS))]
        own = make_samples(arm, factors, prompts=PROMPTS, workload=workload)
        return [
            sample.model_copy(
                update={
                    "ttft_s": ttft_s * factor,
                    "decode_rate": decode_rate / factor,
                    "wall_s": (ttft_s + 64 / decode_rate) * factor,
                }
            )
            for sample, factor in zip(own, factors, strict=True)
        ]

    return samples


TIMES = {
    # 1.4 s a request at 64/s; 1.0 s at 64/s; 2.4 s at 106.7/s.
    NONE.id: timed(0.4, 64.0),
    LARGE.id: timed(0.2, 80.0),
    K2.id: timed(1.8, 128.0),
    K4.id: timed(1.8, 640 / 6),
}
"""The three goals have different answers: mtp k=2 decodes fastest, and its prefill is dear."""


def run_of(
    goal: TuningGoal, change: Change = lambda sample: sample, workloads: tuple[str, ...] = ("a",)
) -> RunData:
    samples = [
        change(sample) for arm in ARMS for name in workloads for sample in TIMES[arm.id](arm, name)
    ]
    launches = [make_launch(arm, n) for arm in ARMS for n in range(1, ROUNDS + 1)]
    return make_run(ARMS, samples, launches=launches, budget=600.0, goal=goal)


def card_of(goal: TuningGoal, change: Change = lambda sample: sample) -> Card:
    run = run_of(goal, change)
    return make_card(run, summarise(run))


def words(section: TuningSection) -> str:
    return "\n".join((*section.headlines, *section.remarks))


def test_a_request_by_goal() -> None:
    sample = make_sample(NONE, ttft_s=0.25, wall_s=2.0, output_tokens=65, decode_rate=50.0)
    assert [rate_of(goal, sample) for goal in (DECODE, THROUGHPUT, TTFT)] == [50.0, 32.5, 4.0]
    for missing in ("ttft_s", "decode_rate", "output_tokens"):
        less = sample.model_copy(update={missing: None})
        without = [goal for goal in TuningGoal if rate_of(goal, less) is None]
        assert len(without) == 1, missing


@pytest.mark.parametrize(("goal", "ratio"), [(DECODE, 2.0), (THROUGHPUT, 1.4 / 2.3), (TTFT, 2 / 9)])
def test_speedups_are_of_the_goals_figure(goal: TuningGoal, ratio: float) -> None:
    effect = read_known(run_of(goal)).evidence.speedup(K2.id, "a")
    assert effect is not None
    assert effect.ratio == pytest.approx(ratio)


def test_of_a_whole_request_it_is_told_how_much_of_it_is_prefill() -> None:
    for goal in TuningGoal:
        before = read_known(run_of(goal)).evidence.before(PLAIN, "a")
        assert before == pytest.approx(0.4 / 1.4 if goal is THROUGHPUT else 0.0)


def test_steps_tell_nothing_of_ttft() -> None:
    for goal in TuningGoal:
        evidence = read_known(run_of(goal)).evidence
        assert (evidence.length(K2.id, "a") is None) == (goal is TTFT)
        assert (evidence.rates(K2.id, "a") is None) == (goal is TTFT)


def test_of_ttft_the_shortest_draft_stands_for_its_family() -> None:
    assert {c.arm for c in read_known(run_of(DECODE)).space.candidates} == {LARGE.id, K2.id, K4.id}
    assert {c.arm for c in read_known(run_of(TTFT)).space.candidates} == {LARGE.id, K2.id}
    fresh = make_run(ARMS, [], launches=[], budget=60.0, goal=TTFT)
    assert arms_of_round(fresh, 1) == (NONE.id, LARGE.id, K2.id)


@pytest.mark.parametrize(
    ("doubt", "without"),
    [
        ({"cached_tokens": 30}, {THROUGHPUT, TTFT}),  # Its prefill was not a whole one.
        ({"output_tokens": 5, "decode_rate": 40.0}, {DECODE, THROUGHPUT}),  # An early end.
        ({"cpu_throttled": 3}, {DECODE, THROUGHPUT, TTFT}),
    ],
    ids=["cached", "early end", "throttled"],
)
def test_a_doubt_leaves_out_what_it_spoils(
    doubt: dict[str, object], without: set[TuningGoal]
) -> None:
    def spoil(sample: Sample) -> Sample:
        here = (sample.arm, sample.round, sample.prompt) == (NONE.id, 2, "p1")
        return sample.model_copy(update=doubt) if here else sample

    for goal in TuningGoal:
        readings = [r for r in read_known(run_of(goal, spoil)).readings if r.arm == PLAIN]
        assert len(readings) == ROUNDS * len(PROMPTS) - (goal in without), goal


@pytest.mark.parametrize(
    ("goal", "missing", "fault"),
    [
        (DECODE, "decode_rate", "plain decoding has no decode rate"),
        (THROUGHPUT, "output_tokens", "plain decoding has no rate over a whole request"),
        (TTFT, "ttft_s", "plain decoding has no TTFT"),
    ],
)
def test_plain_without_the_figure_is_a_fault_and_without_another_is_none(
    goal: TuningGoal, missing: str, fault: str
) -> None:
    def lose(sample: Sample) -> Sample:
        return sample.model_copy(update={missing: None})

    assert {other: read_known(run_of(other, lose)).fault for other in TuningGoal} == {
        **dict.fromkeys(TuningGoal),
        goal: fault,
    }


def test_each_goal_has_its_own_answer_and_says_so() -> None:
    found = {goal: card_of(goal).workloads[0] for goal in TuningGoal}
    assert {goal: one.arm for goal, one in found.items()} == {
        DECODE: K2.id,
        THROUGHPUT: LARGE.id,
        TTFT: LARGE.id,
    }
    assert {one.outcome for one in found.values()} == {Outcome.FASTER}
    for goal, (value, speedup) in {
        DECODE: (128.0, 2.0),
        THROUGHPUT: (65.0, 1.4),
        TTFT: (0.2, 2.0),
    }.items():
        expected, ratio = found[goal].expected, found[goal].speedup
        assert expected is not None
        assert expected.interval is not None
        assert expected.value == pytest.approx(value, rel=0.01)
        assert expected.value in expected.interval
        assert ratio is not None
        assert ratio.value == pytest.approx(speedup)


def test_the_card_of_each_goal_in_words() -> None:
    told = {goal: tuning_section(card_of(goal)) for goal in TuningGoal}
    large = "plain, ubatch-size=1024"
    assert told[DECODE].headlines[0].startswith("a: mtp k=2 is 2.00x [")
    assert "] plain, 127.5 [" in told[DECODE].headlines[0]
    assert "Tuned for" not in words(told[DECODE])
    assert told[THROUGHPUT].headlines[0].startswith(f"a: {large} is 1.40x [")
    assert "] plain over the whole request, 64.7 [" in told[THROUGHPUT].headlines[0]
    assert "tok/s with the prefill" in told[THROUGHPUT].headlines[0]
    assert "not the throughput of many at once" in words(told[THROUGHPUT])
    assert told[TTFT].headlines[0].startswith(f"a: {large} is 2.00x [")
    assert "as fast as plain to the first token, TTFT 201 ms [200, 202]" in words(told[TTFT])
    assert "0.80x takes 125%" in words(told[TTFT])
    headings = {
        goal: [column.heading for column in section.table.columns][2:5]
        for goal, section in told.items()
    }
    assert headings[DECODE][:2] == ["tok/s [95%]", "speed-up [95%]"]
    assert headings[THROUGHPUT] == [
        "tok/s with the prefill [95%]",
        "speed-up of the request [95%]",
        "decode tok/s [95%]",
    ]
    assert headings[TTFT] == ["TTFT [95%]", "TTFT speed-up [95%]", "decode tok/s [95%]"]
    assert "TTFT speed-up [95%]" in [c.heading for c in told[TTFT].predictions.columns]


def test_reports_and_json_tell_the_goal() -> None:
    report = build_report(run_of(TTFT))
    for page in (markdown.render(report, ()), html.render(report, ())):
        assert "TTFT speed-up" in page
        assert "Tuned for TTFT" in page
        assert "as fast as plain to the first token" in page
    told = json.loads(render_card(card_of(TTFT)))
    assert told["goal"] == "ttft"
    assert told["workloads"][0]["expected"]["value"] == pytest.approx(0.2, rel=0.01)


def test_where_plain_is_best_to_the_first_token() -> None:
    def dear(sample: Sample) -> Sample:
        return sample.model_copy(update={"ttft_s": 2.0}) if sample.arm == LARGE.id else sample

    card = card_of(TTFT, dear)
    assert card.workloads[0].outcome is Outcome.PLAIN
    (line,) = tuning_section(card).headlines
    assert line.startswith("a: plain is best, TTFT 402 ms [")
    assert line.endswith("as fast to the first token")


def test_which_plain_decoding_is_called_plain_where_there_are_several() -> None:
    small = NONE.model_copy(update={"options": (("ubatch-size", 256),)})
    run = run_of(TTFT)
    arms = (small, *ARMS[1:])
    run = dataclasses.replace(run, manifest=run.manifest.model_copy(update={"arms": arms}))
    told = words(tuning_section(make_card(run, summarise(run))))
    assert "held against: plain, ubatch-size=256." in told
    assert "held against" not in words(tuning_section(card_of(TTFT)))


def test_a_cache_that_made_the_first_token_sooner_is_told() -> None:
    def cache(sample: Sample) -> Sample:
        return sample.model_copy(update={"cached_tokens": 30}) if sample.arm == LARGE.id else sample

    assert "12 prompts came partly from a cache" in words(tuning_section(card_of(TTFT, cache)))
    assert "cache" not in words(tuning_section(card_of(DECODE, cache)))


def test_what_one_setting_for_all_loses() -> None:
    assert behind(DECODE, 0.2) == "20.0% below"
    assert behind(TTFT, 0.2) == "25.0% longer to the first token than"


def test_tuned_has_the_plain_decoding_that_an_option_of_it_was_held_against() -> None:
    run = run_of(TTFT)
    text = tuned(run, make_card(run, summarise(run)))
    suite = tomllib.loads(text)
    assert suite["arm"] == [
        {"method": "none"},
        {"method": "none", "args": {"ubatch-size": 1024}},
    ]
    assert "# a: 2.00x as fast as plain to the first token [" in text
    assert "goal" not in suite
