"""What a tuning chooses from: methods, and each draft model with those that take such a file."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.gather
from harness.gather import gather
from harness.plan import Plan, make_plan
from harness.suite import SuiteError
from harness.tune.defaults import tune_flags
from runners.base.contract import Found, LaunchSpec
from runners.base.packaging import Packaging
from runners.base.support import MethodSupport, Need
from runners.mock import MockRunner
from tests.models.export import Family

METHODS = (
    MethodSupport("draft-model", supported=True, needs=(Need.DRAFT_MODEL,)),
    MethodSupport("mtp", supported=True, needs=(Need.MTP_HEADS,)),
    MethodSupport("eagle3", supported=True, needs=(Need.EAGLE3_DRAFT,)),
    MethodSupport("ngram-mod", supported=True),
)


class ReadsModels(MockRunner):
    """The mock, held against model files as a real runner is."""

    packagings = (Packaging.GGUF, Packaging.HF)

    def find(self) -> Found:
        return dataclasses.replace(super().find(), methods=METHODS)

    def check(self, spec: LaunchSpec) -> None:
        """Chains too, which the mock has none of."""


@pytest.fixture(autouse=True)
def reads_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.gather, "make_runner", lambda *_: ReadsModels())


@pytest.fixture
def tiny(family: Family, tmp_path: Path) -> Path:
    """A second draft model."""
    return Path(shutil.copy(family.draft, tmp_path / "tiny.gguf"))


def plan_of(**flags: Any) -> Plan:
    found = tune_flags({"runner": "mock", "draft_tokens": "2,4", **flags}, ())
    assert found["budget"] == "10m"
    return make_plan(*gather(None, found, ()))


def pairs(plan: Plan) -> set[tuple[str, str | None]]:
    """Method, and the name of the draft model's file."""
    return {
        (arm.method, None if arm.draft_model is None else Path(arm.draft_model).name)
        for arm in plan.arms
    }


PLAIN, NGRAM, MTP = ("none", None), ("ngram-mod", None), ("mtp", None)


def test_methods_that_cannot_work_with_the_files_are_not_chosen_from(family: Family) -> None:
    assert pairs(plan_of(model=str(family.qwen3))) == {PLAIN, NGRAM}
    assert pairs(plan_of(model=str(family.qwen35_mtp))) == {PLAIN, NGRAM, MTP}


def test_one_draft_model_goes_to_the_method_that_its_file_is_for(family: Family) -> None:
    plan = plan_of(model=str(family.qwen3), draft_model=(str(family.draft),))
    assert pairs(plan) == {PLAIN, NGRAM, ("draft-model", "draft.gguf")}
    assert not plan.suite.arm


def test_packagings_of_one_draft_model_are_one(family: Family) -> None:
    both = (str(family.draft), str(family.draft_hf))
    plan = plan_of(model=str(family.qwen3), draft_model=both)
    assert pairs(plan) == {PLAIN, NGRAM, ("draft-model", "draft.gguf")}


def test_two_of_a_packaging_are_two_models_to_choose_from(family: Family, tiny: Path) -> None:
    both = (str(family.draft), str(tiny))
    plan = plan_of(model=str(family.qwen35_mtp), draft_model=both)
    drafted = {("draft-model", "draft.gguf"), ("draft-model", "tiny.gguf")}
    assert pairs(plan) == {PLAIN, NGRAM, MTP, *drafted}
    assert {"draft-model-k2-draft", "draft-model-k4-tiny"} <= {arm.id for arm in plan.arms}
    # Each is an arm of the suite, so that it can be resumed, and written down.
    assert [arm.method for arm in plan.suite.arm] == ["draft-model"] * 2


def test_methods_that_are_named_are_crossed_with_the_draft_models(
    family: Family, tiny: Path
) -> None:
    both = (str(family.draft), str(tiny))
    plan = plan_of(
        model=str(family.qwen3), draft_model=both, methods=("ngram-mod", "ngram-mod+draft-model")
    )
    chain = "ngram-mod+draft-model"
    assert pairs(plan) == {PLAIN, NGRAM, (chain, "draft.gguf"), (chain, "tiny.gguf")}


def test_twice_the_same_path_is_one_model(family: Family) -> None:
    plan = plan_of(model=str(family.qwen3), draft_model=(str(family.draft),) * 2)
    assert pairs(plan) == {PLAIN, NGRAM, ("draft-model", "draft.gguf")}


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.gguf", "nowhere.gguf:? does not exist"),
        ("other-vocabulary.gguf", "draft-model: other-vocabulary.gguf has another vocabulary"),
    ],
)
def test_a_draft_model_that_nothing_can_use_is_named(
    family: Family, name: str, words: str, *, alone: bool
) -> None:
    wrong = str(family.draft.with_name(name))
    given = (wrong,) if alone else (str(family.draft), wrong)
    with pytest.raises(SuiteError, match=words):
        plan_of(model=str(family.qwen35_mtp), draft_model=given)


def test_where_nothing_works_without_a_draft_model_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "METHODS", METHODS[:1])
    with pytest.raises(SuiteError, match="without a draft model: give one with --draft-model"):
        plan_of()


def test_a_draft_model_beside_methods_that_take_none_is_named(family: Family, tiny: Path) -> None:
    for given in ((str(family.draft),), (str(family.draft), str(tiny))):
        with pytest.raises(SuiteError, match=r"draft\.gguf: no method that is chosen drafts with"):
            plan_of(model=str(family.qwen3), draft_model=given, methods=("ngram-mod",))
