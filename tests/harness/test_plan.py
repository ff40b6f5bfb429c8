from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from harness.models.read import ModelFile
from harness.models.shelf import Shelf
from harness.plan import Plan, make_plan
from harness.suite import Suite, SuiteError, make_suite
from runners.base.contract import UsageError
from runners.base.speculation import SyntheticAcceptance
from runners.registry import RUNNERS
from tests.harness.builders import make_model_file
from workloads.workload import WorkloadError

MODEL = "/models/target.gguf"


def shelf(path: Path) -> ModelFile:
    """Every model has one MTP head, unless its name says otherwise."""
    match path.stem:
        case "plain" | "small":
            return make_model_file(path)
        case "chained":
            return make_model_file(path, mtp_layers=3, mtp_declared=3)
        case "sidecar":
            return make_model_file(path, mtp_only=True)
    return make_model_file(path, mtp_layers=1, mtp_declared=1)


def plan_of(**given_settings: Any) -> Plan:
    base = {"runner": "llama.cpp", "model": MODEL, "prompts": 2, "repeats": 2}
    return make_plan(make_suite(base | given_settings), RUNNERS, Shelf(shelf))


def ids(plan: Plan) -> list[str]:
    return [arm.id for arm in plan.arms]


def test_methods_times_draft_lengths_and_one_plain_arm() -> None:
    plan = plan_of(methods=["ngram-simple", "ngram-mod"], draft_tokens=[2, 4])
    assert ids(plan) == [
        "none",
        "ngram-simple-k2",
        "ngram-simple-k4",
        "ngram-mod-k2",
        "ngram-mod-k4",
    ]
    assert {arm.baseline for arm in plan.arms} == {"none"}
    assert [arm.label for arm in plan.arms][:2] == ["plain", "ngram-simple k=2"]


def test_shared_options_get_a_plain_arm_each() -> None:
    plan = plan_of(
        methods=["ngram-mod"],
        draft_tokens=[4],
        args={"cache-type-k": ["f16", "q8_0"], "threads": 2},
    )
    assert ids(plan) == [
        "none-cache-type-k=f16",
        "none-cache-type-k=q8_0",
        "ngram-mod-k4-cache-type-k=f16",
        "ngram-mod-k4-cache-type-k=q8_0",
    ]
    assert [arm.baseline for arm in plan.arms[2:]] == ids(plan)[:2]
    # An option that is the same everywhere is set, but does not clutter the label.
    assert plan.arms[2].label == "ngram-mod k=4, cache-type-k=f16"
    assert ("threads", 2) in plan.arms[2].options


def test_options_of_a_draft_do_not_multiply_plain_decoding() -> None:
    plan = plan_of(
        methods=["draft-model", "ngram-mod"],
        draft_model="/models/small.gguf",
        draft_tokens=[4],
        args={"spec-draft-p-min": [0, 0.6]},
    )
    assert ids(plan) == [
        "none",
        "draft-model-k4-spec-draft-p-min=0",
        "draft-model-k4-spec-draft-p-min=0.6",
        "ngram-mod-k4",
    ]
    assert {arm.baseline for arm in plan.arms} == {"none"}
    assert plan.arms[3].draft_model is None


def test_arms_of_their_own() -> None:
    plan = plan_of(
        methods=[],
        args={"threads": 2},
        arm=[
            {"args": {"threads": [1, 2]}},
            {"method": "ngram-mod", "draft_tokens": 3, "args": {"threads": 1}},
            {"method": "ngram-mod", "draft_tokens": 3, "model": "/models/other.gguf"},
        ],
    )
    assert ids(plan) == [
        "target-none-threads=1",
        "target-none-threads=2",
        "target-ngram-mod-k3-threads=1",
        "other-none-threads=2",
        "other-ngram-mod-k3-threads=2",
    ]
    assert [arm.baseline for arm in plan.arms if not arm.is_baseline] == [
        "target-none-threads=1",
        "other-none-threads=2",
    ]


def test_short_drafts_are_not_dropped_and_the_lookup_stays_while_the_length_is_swept() -> None:
    plan = plan_of(methods=["ngram-simple", "ngram-mod"], draft_tokens=[3, 8])
    by_id = {arm.id: dict(arm.options) for arm in plan.arms}
    assert by_id["ngram-simple-k3"] == by_id["ngram-simple-k8"] == {"spec-ngram-simple-size-n": 3}
    assert by_id["ngram-mod-k3"] == {"spec-ngram-mod-n-min": 1}
    own = plan_of(
        methods=["ngram-simple"], draft_tokens=[3, 8], args={"spec-ngram-simple-size-n": 2}
    )
    assert dict(own.arms[1].options) == {"spec-ngram-simple-size-n": 2}


def test_options_by_another_name_are_the_same_option() -> None:
    plan = plan_of(methods=[], args={"threads": 4}, arm=[{"args": {"-t": [1, 2]}}])
    assert [arm.options for arm in plan.arms] == [(("threads", 1),), (("threads", 2),)]


def test_a_draft_model_is_not_handed_to_a_model_with_heads() -> None:
    plan = plan_of(
        methods=["draft-model", "mtp"], draft_model="/models/small.gguf", draft_tokens=[2]
    )
    drafts = {arm.method: arm.draft_model for arm in plan.arms}
    assert drafts == {"none": None, "draft-model": "/models/small.gguf", "mtp": None}
    own = plan_of(
        methods=[], arm=[{"method": "mtp", "draft_tokens": 2, "draft_model": "/models/heads.gguf"}]
    )
    assert own.arms[1].draft_model == "/models/heads.gguf"


def test_a_file_of_heads_goes_to_mtp() -> None:
    plan = plan_of(model="/models/plain.gguf", methods=["mtp"], draft_model="/models/sidecar.gguf")
    assert [arm.draft_model for arm in plan.arms[1:]] == ["/models/sidecar.gguf"] * 3


def test_sampling_differs_between_rounds_and_prompts_but_not_between_arms() -> None:
    plan = plan_of(methods=[])
    first, second = plan.prompts[:2]
    seeds = {plan.request_seed(r, p) for r in (1, 2) for p in (first, second)}
    assert len(seeds) == 4
    assert plan_of(methods=["ngram-mod"]).request_seed(1, first) == plan.request_seed(1, first)


def test_ids_stay_unique_and_usable_as_file_names() -> None:
    plan = plan_of(
        runner="mock",
        methods=["ngram-mod"],
        draft_tokens=[1],
        args={"write": ["token", "step"], "acceptance": ["0.5,0.1", "0.5/0.1"][:1]},
    )
    assert len(set(ids(plan))) == len(ids(plan))
    assert all("/" not in name and "," not in name and len(name) <= 90 for name in ids(plan))


def test_chains_are_arms_like_any_other() -> None:
    plan = plan_of(
        methods=["mtp+ngram-mod"],
        draft_tokens=[4],
        args={"spec-draft-p-min": 0.5, "spec-ngram-mod-n-match": 12},
    )
    assert ids(plan) == ["none", "ngram-mod+mtp-k4"]
    assert plan.arms[1].label == "ngram-mod+mtp k=4"
    options = {"spec-draft-p-min": 0.5, "spec-ngram-mod-n-match": 12, "spec-ngram-mod-n-min": 1}
    assert dict(plan.arms[1].options) == options
    assert plan.arms[1].draft_model is None
    small = plan_of(methods=["ngram-mod+draft-model"], draft_model="/models/small.gguf")
    assert small.arms[1].draft_model == "/models/small.gguf"


def test_drafts_accepted_by_draw_take_the_place_of_accepted_ones() -> None:
    plan = plan_of(methods=["mtp"], draft_tokens=[2, 4], synthetic_acceptance=[2, 2.5])
    assert ids(plan) == [
        "none",
        "mtp-k2-synthetic-2",
        "mtp-k4-synthetic-2",
        "mtp-k2-synthetic-2.5",
        "mtp-k4-synthetic-2.5",
    ]
    assert plan.arms[1].label == "mtp k=2 synthetic τ=2"
    assert plan.spec(plan.arms[1]).speculation.synthetic == SyntheticAcceptance(length=2)
    rates = plan_of(
        methods=[],
        arm=[{"method": "mtp", "draft_tokens": [2, 4], "synthetic_acceptance": [0.9, 0.5]}],
    )
    assert ids(rates)[1:] == ["mtp-k2-synthetic-0.9-0.5", "mtp-k4-synthetic-0.9-0.5"]
    assert rates.arms[1].impossible is None
    assert "too few for 4 draft tokens" in str(rates.arms[2].impossible)


def test_what_cannot_work_is_a_row_and_never_launched() -> None:
    plan = plan_of(model="/models/plain.gguf", methods=["mtp", "ngram-mod"], draft_tokens=[2, 4])
    assert ids(plan) == ["none", "mtp-k2", "mtp-k4", "ngram-mod-k2", "ngram-mod-k4"]
    assert [arm.id for arm in plan.measured] == ["none", "ngram-mod-k2", "ngram-mod-k4"]
    assert {batch.arm.id for batch in plan.batches()} == {arm.id for arm in plan.measured}
    assert plan.launches == 2 * 3
    assert plan.trials == 3 * 2
    assert plan.samples == 2 * 3 * 4


def test_lengths_of_which_the_same_comes_are_one_arm() -> None:
    plan = plan_of(model="/models/chained.gguf", methods=["mtp"], draft_tokens="1-5")
    assert ids(plan) == ["none", "mtp-k1", "mtp-k2", "mtp-k3"]
    assert [arm.shortened for arm in plan.arms[:3]] == [None] * 3
    assert plan.arms[3].shortened == (
        "asked for k=3, 4, 5: at most 3 here (the model's chained MTP heads)"
    )
    assert plan.spec(plan.arms[3]).speculation.draft_tokens == 3


def test_an_unknown_option_is_refused_beside_what_cannot_work() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        plan_of(
            model="/models/plain.gguf", methods=["mtp", "ngram-mod"], args={"spec-ngram-mood": 4}
        )


def test_no_method_is_plain_alone() -> None:
    assert ids(plan_of(methods=[])) == ["none"]
    assert ids(plan_of(methods=["none"])) == ["none"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), repeats=st.integers(1, 4))
def test_every_request_once_in_an_order_that_the_seed_fixes(seed: int, repeats: int) -> None:
    plan = plan_of(
        methods=["ngram-mod"],
        draft_tokens=[1, 2],
        seed=seed,
        repeats=repeats,
        max_tokens=[16, 64],
    )
    batches = list(plan.batches())
    keys = Counter(
        (b.round, b.arm.id, p.workload, p.id, b.max_tokens) for b in batches for p in b.prompts
    )
    assert set(keys.values()) == {1}
    assert len(keys) == plan.samples
    assert len(batches) == plan.launches
    # Rounds come one after the other, and all arms of a round see the same order of prompts.
    assert [b.round for b in batches] == sorted(b.round for b in batches)
    for number in range(1, repeats + 1):
        assert len({b.prompts for b in batches if b.round == number}) == 1
    assert list(plan.batches()) == batches


def test_rounds_are_shuffled() -> None:
    plan = plan_of(methods=["ngram-mod"], draft_tokens="1-8", repeats=5)
    orders = {
        tuple(b.arm.id for b in plan.batches() if b.round == number) for number in range(1, 6)
    }
    assert len(orders) > 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), rounds=st.integers(1, 3))
def test_an_even_round_runs_backwards_so_that_each_launch_comes_as_early_as_any_other(
    seed: int, rounds: int
) -> None:
    plan = plan_of(methods=["ngram-mod"], draft_tokens="1-3", seed=seed, repeats=2 * rounds)
    orders = [[batch.arm.id for batch in plan.round(n)] for n in range(1, 2 * rounds + 1)]
    assert [order[::-1] for order in orders[::2]] == orders[1::2]
    places: Counter[str] = Counter()
    for order in orders:
        places.update({arm: place for place, arm in enumerate(order)})
    assert set(places.values()) == {rounds * (len(plan.arms) - 1)}


def test_what_goes_on_measures_the_least_rounds_in_any_case() -> None:
    assert len(list(plan_of(methods=[], repeats=4).batches())) == 4
    assert len(list(plan_of(methods=[], repeats=4, precision=0.02).batches())) == 4
    going_on = plan_of(methods=[], repeats=2, precision="2%")
    assert (going_on.launches, going_on.suite.least_rounds, going_on.suite.most_rounds) == (
        3,
        3,
        30,
    )
    # A round beyond them is like any other.
    assert [batch.round for batch in going_on.round(17)] == [17]
    assert plan_of(methods=[], repeats=50, precision=0.02).suite.most_rounds == 50


def test_only_a_plan_that_goes_on_has_another_fingerprint_for_it() -> None:
    fixed, going_on = plan_of(methods=[]), plan_of(methods=[], precision=0.02)
    # As before sweeps could go on: what was begun then may still be resumed.
    bare = replace(fixed, prompts=(), context=2048)
    assert bare.fingerprint({}).startswith("98648790d7c94a11")
    others = [
        plan_of(methods=[], precision=0.03),
        plan_of(methods=[], precision=0.02, max_rounds=9),
    ]
    found = {plan.fingerprint({}) for plan in (fixed, going_on, *others)}
    assert len(found) == 4


def test_fingerprint_follows_the_plan() -> None:
    models = {MODEL: "00"}
    plan = plan_of(methods=["ngram-mod"])
    same = plan_of(methods=["ngram-mod"])
    assert plan.fingerprint(models) == same.fingerprint(models)
    assert plan.fingerprint({MODEL: "01"}) != plan.fingerprint(models)
    for change in ({"seed": 2}, {"repeats": 3}, {"max_tokens": 9}, {"draft_tokens": 3}):
        assert plan_of(**{"methods": ["ngram-mod"], **change}).fingerprint(
            models
        ) != plan.fingerprint(models)


def test_the_context_holds_the_longest_prompt_and_answer() -> None:
    plan = plan_of(methods=[], max_tokens=[64, 5000], prompts="all", workloads=["coding"])
    longest = max(prompt.length or 0 for prompt in plan.prompts)
    assert plan.context >= longest + 5000
    assert plan.context % 1024 == 0


def test_two_workloads_of_one_name(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.jsonl"
        file.write_text('{"id": "x", "prompt": "Tell me of the sea."}\n')
        names.append(str(file))
    with pytest.raises(SuiteError, match="same file name"):
        plan_of(workloads=names)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"workloads": ["codign"]}, WorkloadError, "coding"),
        ({"args": {"thread": 2}}, UsageError, "did you mean threads"),
        ({"args": {"cache-type-k": "q9"}}, UsageError, "cannot be 'q9'"),
        ({"args": {"spec-draft-n-max": 3}, "methods": ["mtp"]}, UsageError, "--draft-tokens"),
        (
            {"methods": ["mtp"], "args": {"spec-ngram-mod-n-match": 4}},
            SuiteError,
            "means nothing to any of the chosen methods",
        ),
        ({"methods": ["mtp"], "args": {"spec-ngram-mood": 4}}, UsageError, "did you mean"),
        ({"methods": ["medusa"]}, SuiteError, "k=2, 4, 8: this build of the runner cannot specul"),
        ({"methods": ["draft-model"]}, SuiteError, "no --draft-model is given"),
        (
            {"methods": ["mtp"], "model": "/models/plain.gguf"},
            SuiteError,
            "mtp k=2, 4, 8: plain.gguf holds no MTP heads",
        ),
        ({"synthetic_acceptance": 2.5}, SuiteError, "goes with methods, and none is named"),
        (
            {"methods": ["mtp"], "draft_tokens": 2, "synthetic_acceptance": 4.5},
            SuiteError,
            r"mtp τ=4.5 k=2: a mean of 4.5 tokens a step cannot come of 2 draft tokens",
        ),
        ({"arm": [{"draft_tokens": 4}]}, SuiteError, "needs a method"),
        (
            {
                "methods": ["ngram-mod"],
                "draft_tokens": "1-500",
                "args": {"threads": [1, 2, 3, 4, 5]},
            },
            SuiteError,
            "more than 2000 arms",
        ),
    ],
)
def test_what_cannot_be_planned(
    changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan_of(**changed)


def test_a_length_that_is_built_in_is_said_so() -> None:
    plan = plan_of(methods=["ngram-cache"], draft_tokens=[2, 8, 12])
    assert ids(plan) == ["none", "ngram-cache-k8"]
    assert plan.arms[1].shortened == "asked for k=2, 8, 12: always 8 here (built into the runner)"
    assert plan_of(methods=["ngram-cache"], draft_tokens=[8]).arms[1].shortened is None


@settings(max_examples=20, deadline=None)
@given(
    model=st.sampled_from(["plain", "chained", "target"]),
    methods=st.lists(
        st.sampled_from(["mtp", "ngram-mod", "ngram-cache", "ngram-cache+mtp"]), min_size=1
    ),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    drawn=st.sampled_from([(), (1,), (2.5, 6), (0.9, 0.5)]),
)
def test_a_resumed_run_has_the_same_plan(
    model: str, methods: list[str], lengths: list[int], drawn: tuple[float, ...]
) -> None:
    given_settings = {
        "model": f"/models/{model}.gguf",
        "methods": methods,
        "draft_tokens": lengths,
        "synthetic_acceptance": drawn,
    }
    try:
        plan = plan_of(**given_settings)
    except SuiteError:  # Nothing of it can work, which other tests look at.
        reject()
    stored = Suite.model_validate_json(plan.suite.model_dump_json())
    again = make_plan(stored, RUNNERS, Shelf(shelf))
    assert again.arms == plan.arms
    assert again.fingerprint({}) == plan.fingerprint({})
    # Whatever was clamped: ids are unique, and no two arms of a plan would be launched alike.
    assert len(set(ids(plan))) == len(plan.arms)
    assert len({again.spec(arm) for arm in again.measured}) == len(again.measured)
