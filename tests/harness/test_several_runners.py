"""One model over several runners: the arms, their counterparts, and what cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.defaults import with_defaults
from harness.feasible import left_out
from harness.gather import gather
from harness.manifest import differences, make_manifest, read_models
from harness.models.errors import ModelFileError
from harness.models.read import ModelFile
from harness.models.shelf import Shelf
from harness.plan import Plan, make_plan
from harness.records import Arm
from harness.suite import RunnerSpec, Suite, SuiteError, make_suite
from runners.base.contract import Found, LaunchSpec, Missing, Runner, UsageError
from runners.base.packaging import Packaging
from runners.base.support import MethodSupport, Need
from runners.mock import MockRunner
from tests.harness.builders import make_model_file
from tests.models.export import Family

METHODS = (
    MethodSupport("draft-model", supported=True, needs=(Need.DRAFT_MODEL,)),
    MethodSupport("mtp", supported=True),
    MethodSupport("ngram-mod", supported=True),
)


@dataclass
class Reading(MockRunner):
    """A runner of these packagings and options, whose launches are never made."""

    name: str
    packagings: tuple[Packaging, ...]
    options: tuple[str, ...] = ("threads", "dtype")
    methods: tuple[MethodSupport, ...] = METHODS
    prefix: str = ""
    """How this runner begins the names of its options."""

    def find(self) -> Found:
        return Found("1", "here", self.methods, "nowhere")

    def canonical(self, option: str) -> str:
        return self.prefix + option

    def applies(self, option: str, method: str) -> bool:
        return True

    def check(self, spec: LaunchSpec) -> None:
        for name, _ in spec.options:
            if name not in {self.prefix + option for option in self.options}:
                raise UsageError(f"{self.name} has no option {name!r}")


GGUF, HF, MLX = Packaging
RUNNERS: Mapping[str, Runner] = {
    "llama.cpp": Reading("llama.cpp", (GGUF,)),
    "vllm": Reading("vllm", (HF,), prefix="v-"),
    "mlx": Reading("mlx", (MLX, HF)),
}
MODEL = {"gguf": "/models/qwen.gguf", "hf": "/models/Qwen"}
DRAFT = {"gguf": "/models/small.gguf", "hf": "/models/Small"}


def shelf(path: Path) -> ModelFile:
    """Everything can be read that is not called none."""
    if path.stem == "none":
        raise ModelFileError(f"{path} does not exist")
    return make_model_file(path)


def plan_of(having: Mapping[str, Runner] = RUNNERS, /, **given_settings: Any) -> Plan:
    base = {"runner": list(having), "model": MODEL, "prompts": 1, "draft_tokens": [2]}
    return make_plan(make_suite(base | given_settings), having, Shelf(shelf))


def by_id(plan: Plan) -> dict[str, Arm]:
    return {arm.id: arm for arm in plan.arms}


# ---- arms --------------------------------------------------------------------------------------


def test_an_arm_exists_once_for_each_runner_and_takes_what_it_reads() -> None:
    arms = by_id(plan_of(methods=["ngram-mod", "draft-model"], draft_model=DRAFT))
    assert {name: (arm.model, arm.draft_model) for name, arm in arms.items()} == {
        "llama.cpp-none": (MODEL["gguf"], None),
        "llama.cpp-ngram-mod-k2": (MODEL["gguf"], None),
        "llama.cpp-draft-model-k2": (MODEL["gguf"], DRAFT["gguf"]),
        "vllm-none": (MODEL["hf"], None),
        "vllm-ngram-mod-k2": (MODEL["hf"], None),
        "vllm-draft-model-k2": (MODEL["hf"], DRAFT["hf"]),
        "mlx-none": (MODEL["hf"], None),
        "mlx-ngram-mod-k2": (MODEL["hf"], None),
        "mlx-draft-model-k2": (MODEL["hf"], DRAFT["hf"]),
    }
    assert list(arms)[3] == "vllm-none"
    assert arms["mlx-draft-model-k2"].baseline == "mlx-none"
    assert arms["mlx-draft-model-k2"].counterpart == "llama.cpp-draft-model-k2"
    assert arms["mlx-none"].counterpart == "llama.cpp-none"
    assert arms["llama.cpp-none"].counterpart is None
    assert not any(arm.impossible for arm in arms.values())


def test_an_arm_may_name_runners_of_its_own() -> None:
    arms = by_id(
        plan_of(
            runner="llama.cpp",
            arm=[
                {"method": "mtp"},
                {"method": "ngram-mod", "runner": ["vllm", "mlx"]},
                {"runner": "llama.cpp,vllm"},
            ],
        )
    )
    assert list(arms) == [
        "llama.cpp-none",
        "llama.cpp-mtp-k2",
        "vllm-none",
        "vllm-ngram-mod-k2",
        "mlx-none",
        "mlx-ngram-mod-k2",
    ]
    assert arms["vllm-none"].counterpart == "llama.cpp-none"
    assert arms["vllm-ngram-mod-k2"].counterpart is None


def test_models_of_different_entries_are_no_counterparts_and_are_named() -> None:
    other = {"gguf": "/models/other.gguf"}
    arms = by_id(plan_of(arm=[{"runner": "llama.cpp", "model": other}, {"runner": "mlx"}]))
    assert {name: arm.counterpart for name, arm in arms.items()} == {
        "llama.cpp-other-none": None,
        "mlx-Qwen-none": None,
    }


def test_options_given_to_all_tell_counterparts_apart() -> None:
    arms = by_id(
        plan_of(
            args={"threads": [1, 2]},
            runners={"vllm": {"args": {"dtype": ["half", "float"]}}},
        )
    )
    assert {name: arm.counterpart for name, arm in arms.items() if arm.runner == "vllm"} == {
        "vllm-none-v-dtype=half-v-threads=1": "llama.cpp-none-threads=1",
        "vllm-none-v-dtype=half-v-threads=2": "llama.cpp-none-threads=2",
        "vllm-none-v-dtype=float-v-threads=1": "llama.cpp-none-threads=1",
        "vllm-none-v-dtype=float-v-threads=2": "llama.cpp-none-threads=2",
    }
    own = by_id(plan_of(arm=[{"runner": "vllm"}, {"runner": "llama.cpp", "args": {"threads": 3}}]))
    assert own["vllm-none"].counterpart == "llama.cpp-none"


def test_an_option_of_one_runner_is_on_top_of_the_suite_s_and_below_an_arm_s() -> None:
    def options(**given_settings: Any) -> dict[str, dict[str, object]]:
        plan = plan_of(
            args={"threads": 1}, runners={"mlx": {"args": {"threads": 2}}}, **given_settings
        )
        return {arm.runner: dict(arm.options) for arm in plan.arms}

    assert options() == {
        "llama.cpp": {"threads": 1},
        "vllm": {"v-threads": 1},
        "mlx": {"threads": 2},
    }
    assert options(arm=[{"args": {"threads": 3}}])["mlx"] == {"threads": 3}


def test_an_option_that_a_kind_has_nowhere_does_not_clutter_its_labels() -> None:
    plan = plan_of(args={"threads": 1}, runners={"mlx": {"args": {"dtype": "half"}}})
    assert plan.arms[0].varied == ()
    differing = plan_of(args={"threads": 1}, runners={"mlx": {"args": {"threads": 2}}})
    assert differing.arms[0].varied == ("threads",)


NAMES = st.lists(st.sampled_from(list(RUNNERS)), min_size=1, unique=True)
TABLES = st.dictionaries(
    st.sampled_from(["gguf", "hf", "mlx"]), st.sampled_from(["/m/a", "/m/b", "/m/none"]), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(
    names=NAMES,
    model=TABLES | st.sampled_from(["/m/a", "/m/none"]),
    draft=st.none() | TABLES,
    arms=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "runner": NAMES,
                "model": TABLES,
                "method": st.sampled_from(["mtp", "ngram-mod", "draft-model"]),
                "args": st.fixed_dictionaries({"threads": st.sampled_from([1, [1, 2]])}),
            },
        ),
        min_size=1,
        max_size=4,
    ),
    threads=st.sampled_from([(), (1,), (1, 2)]),
)
def test_a_counterpart_is_the_first_runner_s_arm_that_is_alike(
    names: list[str],
    model: object,
    draft: object,
    arms: list[dict[str, Any]],
    threads: tuple[int, ...],
) -> None:
    suite = make_suite(
        {
            "runner": names,
            "model": model,
            "draft_model": draft,
            "arm": arms,
            "args": {"threads": threads} if threads else {},
            "prompts": 1,
        }
    )
    try:
        plan = make_plan(suite, RUNNERS, Shelf(shelf))
    except SuiteError:  # Nothing of it can work.
        return
    found = by_id(plan)
    tables = [
        {str(path) for _, path in entry.given} if hasattr(entry, "given") else {str(entry)}
        for spec in (suite, *suite.arm)
        for entry in (spec.model, spec.draft_model)  # type: ignore[attr-defined]
        if entry is not None
    ]

    def alike(arm: Arm, other: Arm) -> bool:
        pairs = ((arm.model, other.model), (arm.draft_model, other.draft_model))
        return (arm.method, arm.draft_tokens) == (other.method, other.draft_tokens) and all(
            one == two or any({one, two} <= entry for entry in tables) for one, two in pairs
        )

    def threads_of(arm: Arm) -> object:
        return next((value for name, value in arm.options if name.endswith("threads")), None)

    for arm in plan.arms:
        candidates = [
            other for other in plan.arms if other.runner == names[0] and alike(arm, other)
        ]
        if arm.runner == names[0] or not candidates:
            assert arm.counterpart is None
            continue
        chosen = found[str(arm.counterpart)]
        assert chosen in candidates
        equal = [other for other in candidates if threads_of(other) == threads_of(arm)]
        assert chosen == (equal or candidates)[0]
    # What is stored makes the same plan, whose fingerprint does not hang on the counterparts.
    again = make_plan(Suite.model_validate_json(suite.model_dump_json()), RUNNERS, Shelf(shelf))
    assert again.arms == plan.arms
    alone = [arm.model_copy(update={"counterpart": None}) for arm in plan.arms]
    assert Plan(suite, tuple(alone), plan.prompts, plan.context).fingerprint({}) == (
        plan.fingerprint({})
    )


# ---- what cannot work --------------------------------------------------------------------------


def test_a_packaging_that_is_not_there_is_a_row_with_its_reason() -> None:
    plan = plan_of(model={"gguf": "/m/a"}, methods=["mtp"], draft_tokens=[2, 4])
    assert [arm.runner for arm in plan.measured] == ["llama.cpp"] * 3
    assert left_out(plan.arms) == [
        "vllm reads a Hugging Face folder, and the model is given as a GGUF file only",
        "mlx reads an MLX folder or a Hugging Face folder, and the model is given as a GGUF file "
        "only",
    ]
    assert plan.launches == 3 * plan.suite.repeats
    assert by_id(plan)["mlx-mtp-k4"].baseline == "mlx-none"
    assert by_id(plan)["mlx-mtp-k4"].counterpart == "llama.cpp-mtp-k4"


def test_a_model_that_cannot_be_read_is_a_row_with_its_reason() -> None:
    plan = plan_of(model={"gguf": "/m/a", "hf": "/m/none", "mlx": "/m/b"}, methods=["mtp"])
    assert {arm.runner for arm in plan.measured} == {"llama.cpp", "mlx"}
    assert left_out(plan.arms) == ["vllm: /m/none does not exist"]


@pytest.mark.parametrize(
    ("draft", "reasons"),
    [
        (
            {"gguf": "/m/s"},
            [
                "vllm, draft-model k=2: vllm reads a Hugging Face folder, and the draft model is "
                "given as a GGUF file only",
                "mlx, draft-model k=2: mlx reads an MLX folder or a Hugging Face folder, and the "
                "draft model is given as a GGUF file only",
            ],
        ),
        (
            {"gguf": "/m/none", "hf": "/m/s"},
            [
                "llama.cpp, draft-model k=2: /m/none does not exist",
                # A file of heads could have that name.
                "llama.cpp, mtp k=2: /m/none does not exist",
            ],
        ),
    ],
)
def test_a_draft_model_that_cannot_be_had_stops_those_that_need_it(
    draft: dict[str, str], reasons: list[str]
) -> None:
    plan = plan_of(methods=["draft-model", "mtp", "ngram-mod"], draft_model=draft)
    assert left_out(plan.arms) == reasons
    assert {arm.runner for arm in plan.measured} == set(RUNNERS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "/m/none"}, ["/m/none does not exist"]),
        ({"model": "/m/none", "runner": "mlx", "methods": ["mtp"]}, ["/m/none does not exist"]),
        (
            {"model": {"mlx": "/m/none"}},
            [
                "nothing that was asked for can be measured",
                "llama.cpp reads a GGUF file, and the model is given as an MLX folder only",
                "vllm reads a Hugging Face folder, and the model is given as an MLX folder only",
                "mlx: /m/none does not exist",
            ],
        ),
        (
            {"methods": ["medusa"], "runner": ["vllm", "mlx"]},
            [
                "no way of speculating that was asked for can work",
                "vllm, medusa k=2: this build of the runner cannot speculate by medusa",
                "mlx, medusa k=2: this build of the runner cannot speculate by medusa",
            ],
        ),
    ],
)
def test_nothing_that_can_be_measured_is_an_error(
    changed: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SuiteError) as caught:
        plan_of(**changed)
    assert str(caught.value).splitlines() == words


def test_plain_decoding_alone_may_lack_a_runner() -> None:
    plan = plan_of(model={"gguf": "/m/a"}, methods=["none"])
    assert [arm.id for arm in plan.measured] == ["llama.cpp-none"]


def test_models_that_nothing_measured_needs_are_not_hashed(family: Family, tmp_path: Path) -> None:
    model = {"gguf": str(family.qwen3), "hf": str(tmp_path / "none")}
    suite = make_suite({"runner": ["llama.cpp", "vllm"], "model": model, "methods": ["mtp"]})
    plan = make_plan(suite, RUNNERS)
    assert [info.path for info in read_models(plan, RUNNERS, lambda _: None)] == [model["gguf"]]
    first = make_manifest(plan, RUNNERS, [], lambda _: None, measure=False)
    assert [runner.name for runner in first.runners] == ["llama.cpp", "vllm"]
    # Later it is there: the run goes on as it was planned, or not at all.
    (tmp_path / "none").symlink_to(family.qwen3_hf)
    again = make_manifest(make_plan(suite, RUNNERS), RUNNERS, [], lambda _: None, measure=False)
    assert differences(first, again)[0] == (
        f"vllm-none: it could not be measured ({tmp_path / 'none'} does not exist), "
        "now it could be measured"
    )


def test_a_runner_that_nothing_measured_needs_may_be_missing(family: Family) -> None:
    class Gone(Reading):
        def find(self) -> Missing:  # type: ignore[override]
            return Missing("not installed", "install it")

    runners = {"llama.cpp": RUNNERS["llama.cpp"], "mlx": Gone("mlx", (MLX,))}
    suite = make_suite({"runner": list(runners), "model": {"gguf": family.qwen3}})
    plan = make_plan(suite, runners)
    manifest = make_manifest(plan, runners, [], lambda _: None, measure=False)
    assert [runner.name for runner in manifest.runners] == ["llama.cpp"]
    suite = make_suite({"runner": list(runners), "model": family.qwen3_hf})
    with pytest.raises(UsageError, match=r"^mlx: not installed; install it$"):
        make_manifest(
            make_plan(suite, {**runners, "mlx": Gone("mlx", (HF,))}), runners, [], lambda _: None
        )


# ---- options that one runner refuses -----------------------------------------------------------


def test_a_shared_option_that_one_refuses_says_how_to_give_it_to_another() -> None:
    less = {
        "mlx": Reading("mlx", (MLX, HF), options=()),
        "vllm": Reading("vllm", (HF,), options=("dtype",)),
        "llama.cpp": RUNNERS["llama.cpp"],
    }
    with pytest.raises(UsageError) as caught:
        plan_of(less, args={"threads": [1, 2]})
    assert str(caught.value).splitlines() == [
        "mlx has no option 'threads'",
        "threads goes to every runner of this sweep, and mlx does not take it; to give it to "
        "llama.cpp alone: --runner-arg llama.cpp:threads=VALUE, or args in "
        '[runners."llama.cpp"]',
    ]
    plan_of(less, runners={"llama.cpp": {"args": {"threads": [1, 2]}}})
    # A runner's own options, those of a single runner, and those that nobody takes.
    for changed in (
        {"runners": {"mlx": {"args": {"threads": 2}}}},
        {"runner": "mlx", "args": {"threads": 2}},
        {"runner": ["mlx", "vllm"], "args": {"threads": 2}},
    ):
        with pytest.raises(UsageError) as caught:
            plan_of(less, **changed)
        assert str(caught.value) == "mlx has no option 'threads'"


def test_an_option_of_a_runner_that_no_arm_of_it_has_is_refused() -> None:
    class Plainless(Reading):
        def applies(self, option: str, method: str) -> bool:
            return method != "none"

    runners = {**RUNNERS, "mlx": Plainless("mlx", (MLX, HF))}
    with pytest.raises(SuiteError, match="the option dtype means nothing to any of the chosen"):
        plan_of(runners, methods=["none"], runners={"mlx": {"args": {"dtype": 1}}})
    # A build that nothing uses is nobody's business.
    plan_of({"vllm": RUNNERS["vllm"]}, runners={"mlx": {"args": {"dtype": 1}}})


# ---- flags -------------------------------------------------------------------------------------


def test_options_and_programs_of_one_runner_as_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "suite.toml"
    file.write_text(
        'runner = ["mock", "mlx"]\nmethods = ["mtp"]\nmodel = "m"\n'
        "[args]\nthreads = 1\n[runners.mlx]\nargs = { kv_bits = 4, max_kv_size = 1 }\n"
    )
    arguments = ["mlx:kv_bits=8", "mock:step-ms=1:2,3", "mlx:--fast", "seed=1"]
    suite, runners = gather(file, {"mlx": "env/bin/python"}, arguments)
    assert suite.runners == {
        "mlx": RunnerSpec(
            runner="mlx",
            program=str(tmp_path / "env/bin/python"),
            args={"kv_bits": 8, "max_kv_size": 1, "fast": True},
        ),
        "mock": RunnerSpec(runner="mock", args={"step-ms": ("1:2", 3)}),
    }
    assert suite.args == {"threads": 1, "seed": 1}
    assert list(runners) == ["mock", "mlx"]
    again, _ = gather(None, {}, [], base=suite)
    assert again == suite


@pytest.mark.parametrize(
    ("flags", "arguments", "words"),
    [
        ({}, ["mocc:a=1"], "--runner-arg mocc:a: this sweep has no runner 'mocc'; did you mean m"),
        ({}, ["mlx:a=1"], "--runner-arg mlx:a: this sweep has no runner 'mlx'; known: mock"),
        ({}, ["mock:a=inf"], "--runner-arg mock:a: expected a finite number, not inf"),
        ({}, ["mock:=1"], "--runner-arg 'mock:=1': expected NAME=VALUE"),
        ({}, [":a=1"], "--runner-arg ':a=1': expected NAME=VALUE"),
        ({"vllm": "x"}, [], "--vllm is for the runner vllm, which nothing here uses"),
        ({"vllm": "", "runner": "vllm", "model": "m"}, [], "--vllm: string should have at least"),
    ],
)
def test_what_is_wrong_with_flags_of_one_runner(
    flags: dict[str, str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        gather(None, {"runner": "mock", **flags}, arguments)
    assert str(caught.value).startswith(words)


def test_several_runners_and_models_as_flags(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(family.qwen3.parent)
    flags = {
        "runner": ("mock", "llama.cpp"),
        "model": (family.qwen3.name, family.qwen3_hf.name),
        "draft_model": (family.draft.name,),
    }
    suite, runners = gather(None, flags, [])
    assert suite.runner == ("mock", "llama.cpp") == tuple(runners)
    assert suite.model_dump()["model"] == {"gguf": family.qwen3, "hf": family.qwen3_hf, "mlx": None}
    assert suite.draft_model == family.draft


# ---- defaults ----------------------------------------------------------------------------------


def test_without_a_method_each_runner_has_its_own_lookups() -> None:
    runners = {
        "a": Reading("a", (), methods=(MethodSupport("ngram-mod", supported=True),)),
        "b": Reading("b", (), methods=(MethodSupport("ngram", supported=True),)),
        "c": Reading("c", (), methods=()),
    }
    assert with_defaults({}, runners)["arm"] == (
        {"runner": "a", "method": "ngram-mod"},
        {"runner": "b", "method": "ngram"},
        {"runner": "c", "method": "none"},
    )
    drafting = with_defaults({"draft_model": "small"}, runners)
    assert drafting["methods"] == ("draft-model",)
    assert "arm" not in drafting


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["vllm"], "no model: give one with --model: vllm reads a Hugging Face folder"),
        (
            ["llama.cpp", "vllm"],
            "no model: give one with --model, one of each kind that is needed: llama.cpp reads a "
            "GGUF file; vllm reads a Hugging Face folder",
        ),
    ],
)
def test_the_demo_model_is_not_for_every_runner(names: list[str], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        with_defaults({}, {name: RUNNERS[name] for name in names})
    assert str(caught.value) == words
