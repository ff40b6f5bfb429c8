"""What a card says of a run, and the suite file that it leaves."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis.summary import summarise
from harness.records import Arm, Sample
from harness.report import html, markdown
from harness.report.content import build_report
from harness.report.json import render_card
from harness.report.tuning import tuning_section
from harness.run_folder import RunData
from harness.suite import make_suite
from harness.suite_file import read_suite
from harness.tune.card import Card, make_card
from harness.tune.search import Outcome
from harness.tune.tuned import tuned, write_tuned
from tests.harness.builders import make_arm, make_launch, make_run, make_samples

NONE = make_arm()
K2, K4, K6, K8 = (make_arm("mtp", k) for k in (2, 4, 6, 8))
ARMS = (NONE, K2, K4, K6, K8)
PROMPTS = ("p1", "p2", "p3")


def as_is(sample: Sample) -> Sample:
    return sample


def run_of(
    *, rounds: int = 4, change: Callable[[Sample], Sample] = as_is, **rates: float
) -> RunData:
    """`none`, `k4`, `k8`, …: tokens per second; what is not named was not measured."""
    arms = {"none": NONE, "k2": K2, "k4": K4, "k6": K6, "k8": K8}
    samples: list[Sample] = []
    for name, rate in rates.items():
        own = [rate * (1 + 0.004 * ((7 * i) % 3)) for i in range(rounds * len(PROMPTS))]
        arm = arms[name]
        samples += make_samples(arm, own, prompts=PROMPTS, change=as_is if arm is NONE else change)
    launches = [make_launch(arms[name], n) for name in rates for n in range(1, rounds + 1)]
    return make_run(ARMS, samples, launches=launches, budget=600.0)


def card_of(run: RunData) -> Card:
    return make_card(run, summarise(run))


def words(card: Card) -> str:
    section = tuning_section(card)
    return "\n".join((*section.headlines, *section.remarks))


def test_a_winner_with_its_figures() -> None:
    card = card_of(run_of(none=50, k4=80, k8=60))
    (one,) = card.workloads
    assert (one.outcome, one.arm, one.setting) == (Outcome.FASTER, K4.id, "mtp k=4")
    assert one.speedup is not None
    assert one.speedup.value == pytest.approx(1.6, rel=0.01)
    assert one.speedup.interval is not None
    assert one.decode_rate is not None
    assert one.acceptance == pytest.approx(0.5)
    assert one.acceptance_length == pytest.approx(2.0)
    assert one.peak_memory == 1_200_000_000
    assert card.for_all is not None
    assert (card.for_all.arm, card.for_all.regret) == (K4.id, 0.0)
    assert card.for_all.command == "llama-server -m models/target.gguf --spec-type mtp"
    assert (card.measured, card.unmeasured) == (2, 2)
    told = words(card)
    assert "coding: mtp k=4 is 1.6" in told
    assert "lossless" in told
    assert "2 settings were not measured" in told
    assert card.grid_s is not None
    assert card.grid_s > 0


def test_measured_settings_are_held_against_the_curve_without_them() -> None:
    card = card_of(run_of(none=50, k2=70, k4=80, k8=60))
    predicted = {one.draft_tokens: one.predicted for one in card.predictions}
    assert predicted[8] is None
    assert predicted[4] is not None
    assert predicted[2] is not None
    # The prediction of k=4 does not know its own measurement.
    other = card_of(run_of(none=50, k2=70, k4=50, k8=60))
    assert {o.draft_tokens: o.predicted for o in other.predictions}[4] == predicted[4]


def test_plain_is_best() -> None:
    (one,) = card_of(run_of(none=50, k4=40, k8=30)).workloads
    assert (one.outcome, one.arm) == (Outcome.PLAIN, NONE.id)
    assert "plain is best" in words(card_of(run_of(none=50, k4=40, k8=30)))


@pytest.mark.parametrize("rounds", [1, 2])
def test_too_few_rounds_prove_nothing_and_it_says_so(rounds: int) -> None:
    card = card_of(run_of(rounds=rounds, none=50, k4=80, k8=60))
    (one,) = card.workloads
    assert (one.outcome, one.arm) == (Outcome.UNPROVEN, NONE.id)
    assert one.guess == "mtp k=4"
    assert not card.complete
    told = words(card)
    assert "no setting proven faster than plain" in told
    assert "needs 3 rounds" in told
    assert "--budget" in told


def test_one_for_all_is_the_best_as_far_as_is_proven() -> None:
    told = words(card_of(of_two_workloads({"none": 50, "k4": 90, "k8": 60})))
    assert "all workloads: mtp k=4, the best of each of them" in told
    assert "as far as is proven" not in told
    run = of_two_workloads({"none": 50, "k4": 90, "k8": 60})
    early = dataclasses.replace(run, samples=tuple(s for s in run.samples if s.round < 3))
    assert "all workloads: plain, the best of each of them as far as is proven" in words(
        card_of(early)
    )


def test_a_lossy_setting_never_wins() -> None:
    def other_text(sample: Sample) -> Sample:
        return sample.model_copy(update={"tokens": (1, 2, 3)})

    card = card_of(run_of(none=50, k4=500, k8=400, change=other_text))
    (one,) = card.workloads
    assert one.arm == NONE.id
    assert one.outcome is Outcome.UNPROVEN
    # Two of the family are enough to know of the other two.
    assert len(card.excluded) == 4
    assert "no setting is left to choose from" in words(card)
    assert all("not lossless" in excluded.reason for excluded in card.excluded)


def test_settings_with_one_reason_share_a_row() -> None:
    def other_text(sample: Sample) -> Sample:
        return sample.model_copy(update={"tokens": (1, 2, 3)})

    card = card_of(run_of(none=50, k4=500, k8=400, change=other_text))
    settings = [row[0] for row in tuning_section(card).excluded.rows]
    assert settings == ["mtp k=2, mtp k=6", "mtp k=4, mtp k=8"]
    reasons = {excluded.setting: excluded.reason for excluded in card.excluded}
    assert reasons["mtp k=6"].startswith("not measured, as mtp k=8: not lossless")


def test_nothing_measured_is_no_answer() -> None:
    run = dataclasses.replace(run_of(none=50), samples=(), launches=())
    card = card_of(run)
    assert not card.workloads
    assert card.for_all is None
    assert "nothing was measured" in words(card)


def test_reports_have_the_card_and_no_failures_of_what_was_not_measured() -> None:
    report = build_report(run_of(none=50, k4=80, k8=60))
    assert report.tuning is not None
    assert report.headlines == report.tuning.headlines
    assert not report.failures.rows
    assert {row.arm.id for row in report.rows} == {NONE.id, K4.id, K8.id}
    for page in (markdown.render(report, ()), html.render(report, ())):
        assert "Recommended settings" in page
        assert "Predicted and measured" in page
        assert "mtp k=4 is 1.6" in page
        assert "mtp k=6" not in page


def test_other_reports_have_none() -> None:
    run = make_run((NONE, K4), [*make_samples(NONE, [50.0] * 3), *make_samples(K4, [60.0] * 3)])
    report = build_report(run)
    assert report.tuning is None
    assert "Recommended settings" not in markdown.render(report, ())


def test_the_card_as_json() -> None:
    told = json.loads(render_card(card_of(run_of(none=50, k4=80, k8=60))))
    assert told["workloads"][0]["arm"] == K4.id
    assert told["workloads"][0]["outcome"] == "faster than plain"
    assert told["for_all"]["regret"] == 0


def test_tuned_is_a_suite_of_the_recommended_setting(tmp_path: Path) -> None:
    run = run_of(none=50, k4=80, k8=60)
    path = write_tuned(run, card_of(run), tmp_path)
    suite = make_suite(read_suite(path), str(path))
    assert suite.name == "a-run"
    assert suite.budget is None
    assert [(arm.method, arm.draft_tokens) for arm in suite.arm] == [("mtp", (4,))]
    assert (suite.workloads, suite.prompts) == (("coding", "prose"), 4)
    assert str(suite.model).endswith("models/target.gguf")


def test_tuned_of_an_unproven_tuning_has_the_best_guess() -> None:
    run = run_of(rounds=2, none=50, k4=80, k8=60)
    text = tuned(run, card_of(run))
    (arm,) = tomllib.loads(text)["arm"]
    assert (arm["method"], arm["draft_tokens"]) == ("mtp", 4)
    assert comments_before_arms(text)[-1][0].startswith("# coding: 1.60x plain")
    assert comments_before_arms(text)[-1][0].endswith(", not proven")


def test_tuned_where_plain_is_best_measures_plain() -> None:
    run = run_of(none=50, k4=40, k8=30)
    text = tuned(run, card_of(run))
    assert tomllib.loads(text)["arm"] == [{"method": "none"}]
    assert comments_before_arms(text) == [["# coding: plain is best"]]


def comments_before_arms(text: str) -> list[list[str]]:
    blocks = text.split("\n\n")
    return [
        [line for line in block.splitlines() if line.startswith("#")]
        for block in blocks
        if "[[arm]]" in block
    ]


def of_two_workloads(prose: dict[str, float]) -> RunData:
    """Coding has k=4 at 1.6x, k=8 at 1.2x; of prose the rates are given."""
    arms = {"none": NONE, "k4": K4, "k8": K8}
    samples: list[Sample] = []
    for workload, rates in (("coding", {"none": 50, "k4": 80, "k8": 60}), ("prose", prose)):
        for name, rate in rates.items():
            own = [rate * (1 + 0.004 * ((7 * i) % 3)) for i in range(4 * len(PROMPTS))]
            samples += make_samples(arms[name], own, prompts=PROMPTS, workload=workload)
    launches = [make_launch(arm, n, command=f"start {arm.id}") for arm in ARMS for n in range(1, 5)]
    return make_run(ARMS, samples, launches=launches, budget=600.0)


def test_each_setting_that_is_recommended_has_its_command() -> None:
    run = of_two_workloads({"none": 50, "k4": 60, "k8": 90})
    card = card_of(run)
    assert [(one.arm, one.command) for one in card.workloads] == [
        (K4.id, "start mtp-k4"),
        (K8.id, "start mtp-k8"),
    ]
    assert card.for_all is not None
    own, other = (K4, "coding"), (K8, "prose")
    if card.for_all.arm == K8.id:
        own, other = (K8, "prose"), (K4, "coding")
    starts = tuning_section(card).starts
    assert [(start.heading, start.command) for start in starts] == [
        (
            f"To start {own[0].label} by hand, for all workloads:",
            f"start {own[0].id}",
        ),
        (
            f"To start {other[0].label} by hand, for {other[1]}:",
            f"start {other[0].id}",
        ),
    ]
    report = build_report(run)
    for page in (markdown.render(report, ()), html.render(report, ())):
        assert page.count("To start mtp k=") == 2


def test_one_setting_for_each_workload_has_one_command() -> None:
    card = card_of(of_two_workloads({"none": 50, "k4": 90, "k8": 60}))
    (start,) = tuning_section(card).starts
    assert start.heading == "To start mtp k=4 by hand, for all workloads:"
    (start,) = tuning_section(card_of(run_of(none=50, k4=80, k8=60))).starts
    assert start.heading == "To start mtp k=4 by hand:"


def test_tuned_says_what_each_setting_is_for() -> None:
    run = of_two_workloads({"none": 50, "k4": 60, "k8": 90})
    text = tuned(run, card_of(run))
    first, second = comments_before_arms(text)
    assert re.fullmatch(r"# coding: 1\.60x plain \[1\.\d\d, 1\.\d\d\]", first[0])
    assert re.fullmatch(r"# prose: 1\.80x plain \[1\.\d\d, 1\.\d\d\]", second[0])
    shared = [line for line in (*first, *second) if line.startswith("# for all workloads, at wor")]
    assert len(shared) == 1
    assert shared[0].endswith(("below the best of coding", "below the best of prose"))


def test_tuned_says_where_plain_is_best() -> None:
    run = of_two_workloads({"none": 50, "k4": 40, "k8": 30})
    text = tuned(run, card_of(run))
    assert "\n# prose: plain is best\n" in text
    assert [arm["method"] for arm in tomllib.loads(text)["arm"]] == ["mtp"]


def test_no_name_of_a_workload_breaks_out_of_a_comment() -> None:
    run = run_of(none=50, k4=80, k8=60)
    card = card_of(run)
    evil = 'c\r\n[[arm]]\x1b[2J\u2028\x7fmethod = "none"'
    (one,) = card.workloads
    card = dataclasses.replace(card, workloads=(dataclasses.replace(one, workload=evil),))
    assert len(tomllib.loads(tuned(run, card))["arm"]) == 1


def test_tuned_holds_any_text() -> None:
    strange = 'a "b" \\ é 😀\x7f\n[x]'
    arm: Arm = K4.model_copy(
        update={"options": (("chat-template", strange), ("flag", True), ("p", 0.5))}
    )
    samples = [
        s for one in (NONE, arm) for s in make_samples(one, [50.0 if one is NONE else 80.0] * 9)
    ]
    run = make_run((NONE, arm), samples, budget=60.0)
    told = tomllib.loads(tuned(run, card_of(run)))
    assert told["args"] == {"chat-template": strange, "flag": True, "p": 0.5}


def test_options_of_all_settings_stand_where_flags_override_them(tmp_path: Path) -> None:
    run = of_two_workloads({"none": 50, "k4": 60, "k8": 90})
    threads = ("threads", 2)
    arms = tuple(
        arm.model_copy(
            update={"options": (("p-min", 0.5), threads) if arm.id == K4.id else (threads,)}
        )
        for arm in ARMS
    )
    run = dataclasses.replace(run, manifest=run.manifest.model_copy(update={"arms": arms}))
    suite = make_suite(read_suite(write_tuned(run, card_of(run), tmp_path)))
    assert suite.args == {"threads": 2}
    assert [(arm.draft_tokens, arm.args) for arm in suite.arm] == [
        ((4,), {"p-min": 0.5}),
        ((8,), {}),
    ]
