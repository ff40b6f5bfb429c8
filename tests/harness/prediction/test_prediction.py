from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.analysis.ceilings import arm_reads
from harness.prediction import json as as_json
from harness.prediction.errors import PredictionError
from harness.prediction.families import groups_of
from harness.prediction.kinds import Kind
from harness.prediction.outlook import Outlook, Prediction, Question, WorkloadOutlook
from harness.prediction.prediction import predict
from harness.prediction.view import render
from harness.records import Arm, Sample
from harness.run_folder import RunData, read_run
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import make_arm, make_facts, make_run, make_samples
from tests.harness.prediction.runs import PROMPTS, drafting_run, drafting_sample

EXAMPLES = Path(__file__).parents[3] / "results" / "examples"
ON_A_4090 = Question(hardware="4090")


def only(prediction: Prediction) -> tuple[WorkloadOutlook, Outlook]:
    (workload,) = prediction.workloads
    (outlook,) = workload.outlooks
    return workload, outlook


def shown(prediction: Prediction) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(render(prediction))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def changed(run: RunData, **changes: object) -> RunData:
    """Of every sample that drafts."""
    samples = tuple(
        sample.model_copy(update=changes) if sample.drafted is not None else sample
        for sample in run.samples
    )
    return RunData(run.manifest, run.launches, samples, run.sessions)


def test_plain_on_a_4090() -> None:
    workload, _ = only(predict(drafting_run(), ON_A_4090))
    # 1 GB of weights and a context of 40 + 65 / 2 tokens of 10 kB.
    assert workload.depth == pytest.approx(72.5)
    assert workload.ceiling == pytest.approx(1008e9 / (1e9 + 725_000))
    assert workload.target.kind is Kind.NVIDIA
    assert workload.rate is not None
    assert workload.rate.low == pytest.approx(0.53 * 469)
    assert workload.measured is None


def test_tau_of_every_shorter_draft() -> None:
    """Of 3 tokens it is replayed: a step in five that accepts all 4 would have taken 5 / 4."""
    _, outlook = only(predict(drafting_run(), ON_A_4090))
    taus = [setting.figures.tau for setting in outlook.settings]
    assert [tau.middle for tau in taus] == pytest.approx([1.8, 2.4, 2.9 / 1.05, 2.9])
    assert [held.draft_tokens for held in outlook.held] == [1, 2]
    assert [held.error for held in outlook.held] == pytest.approx([0, 0], abs=1e-9)
    assert all(tau.low < tau.middle < tau.high for tau in taus)
    assert (outlook.prompts, outlook.rounds) == (4, 2)


def test_a_given_cost_is_the_only_one() -> None:
    """Reading a draft takes 0.1 plain steps and is given as 0."""
    question = Question(bandwidth=100e9, verify_cost=0.2, draft_cost=0.0)
    workload, outlook = only(predict(drafting_run(), question))
    assert [cost.per_row for cost in outlook.costs] == [0.2]
    gains = [setting.figures.speedup.middle for setting in outlook.settings]
    assert gains == pytest.approx([1.8 / 1.2, 2.4 / 1.4, 2.9 / 1.05 / 1.6, 2.9 / 1.8])
    assert outlook.best == 3
    assert workload.target.kind is Kind.OTHER


@settings(max_examples=25, deadline=None)
@given(st.floats(20e9, 400e9), st.floats(1, 1.17))
def test_more_bandwidth_is_never_slower(bandwidth: float, times: float) -> None:
    """As long as published steps are as short; beyond, knowledge ends and the range opens."""
    run = drafting_run((4,))
    before = only(predict(run, Question(bandwidth=bandwidth)))
    after = only(predict(run, Question(bandwidth=bandwidth * times)))
    for slower, faster in zip(before[1].settings, after[1].settings, strict=True):
        assert slower.ceiling <= faster.ceiling
        for end in ("low", "middle", "high"):
            assert getattr(slower.rate, end) <= getattr(faster.rate, end) * (1 + 1e-9)


def test_no_rate_is_above_the_ceiling_of_the_highest_tau() -> None:
    for question in (ON_A_4090, Question(bandwidth=50e9), Question(hardware="M4 Max 40-core")):
        _, outlook = only(predict(drafting_run(), question))
        for setting in outlook.settings:
            of_a_token = setting.ceiling / setting.figures.tau.middle
            assert setting.rate.high <= of_a_token * setting.figures.tau.high * (1 + 1e-9)
            assert setting.rate.low <= setting.rate.middle <= setting.rate.high


def test_the_run_s_own_machine_is_held_against_it() -> None:
    workload, outlook = only(found := predict(drafting_run(), Question()))
    assert workload.target.kind is Kind.PROCESSOR
    assert workload.target.bandwidth == 100e9
    assert workload.measured is not None
    assert workload.measured.rate is not None
    assert workload.measured.rate.middle == 50
    assert workload.measured.speedup is None
    measured = {s.draft_tokens: s.measured for s in outlook.settings}
    assert [k for k, one in measured.items() if one is not None] == [1, 2, 4]
    assert measured[4] is not None
    assert measured[4].speedup is not None
    assert measured[4].speedup.middle == pytest.approx(2.9, rel=0.02)
    assert "speed-ups within the error bars" in shown(found)


def test_a_processor_s_own_costs_count_for_processors_alone() -> None:
    run = drafting_run()
    _, here = only(predict(run, Question(hardware="DDR5-5600 2-channel")))
    assert {cost.source for cost in here.costs} == {"as this run measured, drafting included"}
    _, elsewhere = only(predict(run, ON_A_4090))
    assert all("this run" not in cost.source for cost in elsewhere.costs)


def test_the_run_s_share_counts_on_hardware_of_its_kind() -> None:
    run = make_run(*slow_plain())
    workload = predict(run, Question(hardware="DDR5-5600 2-channel")).workloads[0]
    assert workload.target.share.low == pytest.approx(0.05, abs=0.001)
    assert predict(run, ON_A_4090).workloads[0].target.share.low == 0.53
    assert predict(run, Question()).workloads[0].target.share.low == 0.31, "it would prove itself"


def test_a_share_beyond_the_published_ceilings_says_nothing_of_slower_steps() -> None:
    """50 tok/s under a ceiling of 1 million, where others' ranges begin at 146."""
    arm, samples = slow_plain()
    tiny = {"active_bytes": 1000, "kv_bytes_per_token": 0}
    run = make_run(arm, samples)
    model = run.manifest.models[0].model_copy(update={"facts": make_facts(**tiny)})
    manifest = run.manifest.model_copy(update={"models": (model,)})
    small = RunData(manifest, run.launches, run.samples, run.sessions)
    share = predict(small, Question(hardware="DDR5-5600 2-channel")).workloads[0].target.share
    assert share.low == pytest.approx(5 / 469)


def slow_plain() -> tuple[list[Arm], list[Sample]]:
    arm = make_arm()
    return [arm], make_samples(arm, [5.0] * 4, prompts=PROMPTS)


def test_synthetic_acceptance_says_nothing() -> None:
    run = drafting_run((2,))
    drawn = SyntheticAcceptance(length=2.0)
    arms = [
        a if a.method == "none" else a.model_copy(update={"synthetic": drawn})
        for a in run.manifest.arms
    ]
    manifest = run.manifest.model_copy(update={"arms": tuple(arms)})
    found = predict(RunData(manifest, run.launches, run.samples, run.sessions), ON_A_4090)
    assert found.workloads[0].outlooks == ()
    assert found.workloads[0].rate is not None
    (note,) = found.notes
    assert "by draw" in note


def test_a_run_without_samples() -> None:
    run = drafting_run((2,))
    empty = RunData(run.manifest, (), (), ())
    with pytest.raises(PredictionError, match="no samples to predict from: not measured"):
        predict(empty, ON_A_4090)


def test_as_served_there_is_no_plain_arm() -> None:
    arm = make_arm("as-served", id="served", baseline="served", model=None)
    run = make_run([arm], make_samples(arm, [50.0] * 2))
    with pytest.raises(PredictionError, match=r"no plain arm.*a server that already runs"):
        predict(run, ON_A_4090)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accepted_per_position": None}, "does not expose acceptance by position"),
        ({"steps": None}, "does not expose acceptance by position"),
        ({"accepted_per_position": (10, 60)}, "contradict each other"),
    ],
)
def test_what_is_not_told_is_a_sentence(changes: dict[str, object], words: str) -> None:
    found = predict(changed(drafting_run((2,)), **changes), ON_A_4090)
    _, outlook = only(found)
    assert outlook.settings == ()
    assert words in (outlook.unknown or "")
    assert words in shown(found)


def test_chains_and_methods_without_a_length() -> None:
    for method, k, words in (("ngram-mod+mtp", 4, "chain"), ("suffix", None, "no length")):
        arms = [make_arm(), make_arm(method, k)]
        samples = make_samples(arms[0], [50.0]) + make_samples(arms[1], [50.0])
        _, outlook = only(predict(make_run(arms, samples), ON_A_4090))
        assert words in (outlook.unknown or "")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"active_bytes": 0}, "nothing that a token would read"),
        ({"experts": 4, "experts_used": 8, "expert_bytes": 100}, "more experts in use"),
        ({"kv_bytes_per_token": None}, ""),
    ],
)
def test_a_header_that_says_too_little(facts: dict[str, object], words: str) -> None:
    run = drafting_run((2,))
    model = run.manifest.models[0].model_copy(update={"facts": make_facts(**facts)})
    manifest = run.manifest.model_copy(update={"models": (model, *run.manifest.models[1:])})
    found = predict(RunData(manifest, run.launches, run.samples, run.sessions), ON_A_4090)
    assert found.workloads[0].rate is None
    assert words in (found.workloads[0].unknown or "")
    assert "nothing to predict" in shown(found)


@pytest.mark.parametrize("rate", [0.5, 90.0, 5000.0])
def test_a_rate_above_the_ceiling_came_from_a_cache(rate: float) -> None:
    arm = make_arm()
    run = make_run([arm], make_samples(arm, [rate] * 4, prompts=PROMPTS))
    for hardware in ("DDR5-5600 2-channel", "DDR5-6400 12-channel"):
        (workload,) = predict(run, Question(hardware=hardware)).workloads
        assert workload.rate is not None
        assert workload.ceiling is not None
        assert 0 < workload.rate.low <= workload.rate.middle <= workload.rate.high
        assert workload.rate.high <= workload.ceiling * (1 + 1e-9)


def test_unknown_bytes_are_a_sentence() -> None:
    arms = [make_arm(), make_arm("mtp", 2)]
    samples = [
        *make_samples(arms[0], [50.0]),
        drafting_sample(arms[1], (60, 30), 100, max_tokens=128),
    ]
    _, outlook = only(predict(make_run(arms, samples), ON_A_4090))
    assert "MTP heads" in (outlook.unknown or "")
    run = make_run([arms[0]], samples[:1], models=())
    (workload,) = predict(run, ON_A_4090).workloads
    assert (workload.rate, workload.ceiling) == (None, None)
    assert "header could not be read" in (workload.unknown or "")
    assert "nothing to predict" in shown(predict(run, ON_A_4090))


def test_one_prompt_could_be_anything() -> None:
    arms = [make_arm(), make_arm("draft-model", 2)]
    samples = [
        *make_samples(arms[0], [50.0]),
        drafting_sample(arms[1], (60, 30), 100, max_tokens=128),
    ]
    _, outlook = only(predict(make_run(arms, samples), ON_A_4090))
    assert (outlook.settings[-1].figures.tau.low, outlook.settings[-1].figures.tau.high) == (1, 3)
    assert "one prompt" in outlook.notes[0]


def test_weights_that_do_not_fit() -> None:
    run = drafting_run((2,))
    big = run.manifest.models[0].model_copy(update={"facts": make_facts(tensor_bytes=40e9)})
    manifest = run.manifest.model_copy(update={"models": (big, *run.manifest.models[1:])})
    found = predict(RunData(manifest, run.launches, run.samples, run.sessions), ON_A_4090)
    assert any("do not fit" in note for note in found.workloads[0].notes)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(hardware="RTX 4095"), "no hardware .*near are"),
        (Question(bandwidth=float("nan")), "--bandwidth"),
        (Question(bandwidth=1e9, verify_cost=-1), "--verify-cost"),
        (Question(bandwidth=1e9, draft_cost=float("inf")), "--draft-cost"),
        (Question(bandwidth=1e9, verify_cost=1e300), "--verify-cost"),
        (Question(bandwidth=1e9, verify_cost=float("nan")), "--verify-cost"),
    ],
)
def test_senseless_questions(question: Question, words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        predict(drafting_run((2,)), question)


def test_a_machine_without_bandwidth_must_be_named() -> None:
    run = drafting_run((2,))
    machine = run.manifest.machine.model_copy(update={"bandwidth": None})
    manifest = run.manifest.model_copy(update={"machine": machine})
    with pytest.raises(PredictionError, match="--hardware or --bandwidth"):
        predict(RunData(manifest, run.launches, run.samples, run.sessions), Question())


def test_json_and_terminal() -> None:
    found = predict(drafting_run(), ON_A_4090)
    data = json.loads(as_json.render(found))
    (workload,) = data["workloads"]
    assert workload["target"]["kind"] == "nvidia"
    assert set(workload["outlooks"][0]["settings"][0]["rate"]) == {"low", "middle", "high"}
    text = shown(found)
    assert "GeForce RTX 4090" in text
    assert "within the error bars" in text
    assert "measured x" not in text


def test_hostile_names_reach_no_terminal() -> None:
    run = drafting_run((2,))
    arms = tuple(arm.model_copy(update={"model": "a\x1b[31m.gguf"}) for arm in run.manifest.arms)
    models = tuple(
        m.model_copy(update={"path": "a\x1b[31m.gguf"}) if m.path.endswith("target.gguf") else m
        for m in run.manifest.models
    )
    manifest = run.manifest.model_copy(update={"arms": arms, "models": models})
    assert "\x1b" not in shown(
        predict(RunData(manifest, run.launches, run.samples, run.sessions), ON_A_4090)
    )


def test_reads_of_an_arm() -> None:
    manifest = drafting_run().manifest
    reads = arm_reads(manifest, make_arm("draft-model", 4), 100).reads
    assert reads is not None
    assert (reads.active_bytes, reads.kv_bytes, reads.draft_bytes) == (1e9, 1e6, 1e8)
    assert (
        arm_reads(manifest, make_arm("medusa", 4, draft_model="models/draft.gguf"), 0).reads
        is not None
    )
    served = make_arm("as-served", id="s", baseline="s", model=None)
    assert arm_reads(manifest, served, 0).reason is not None


@pytest.mark.parametrize("name", ["demo", "h100-smollm2", "h100-verification", "three-runners"])
def test_the_example_runs(name: str) -> None:
    found = predict(read_run(EXAMPLES / name), Question())
    assert shown(found)
    for workload in found.workloads:
        assert workload.rate is not None
        for outlook in workload.outlooks:
            assert len(outlook.settings) > 0


def test_n_grams_of_an_example_are_told_from_their_longest_drafts() -> None:
    """What the page says of them: coding within 5%, prose within 18%."""
    found = groups_of(read_run(EXAMPLES / "h100-smollm2"))
    worst = {
        group.plain.workload: max(family.disagreement for family in group.families)
        for group in found.groups
    }
    assert worst["coding"] < 0.05
    assert 0.1 < worst["prose"] < 0.26
