"""What is held against an arm, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from harness.feasible import judge, left_out
from harness.models.read import ModelFile
from harness.models.shelf import Shelf
from harness.records import Arm
from runners.base.contract import Found, Missing, Runner
from runners.base.packaging import Packaging
from runners.base.speculation import SyntheticAcceptance
from runners.base.support import MethodSupport, Need
from tests.harness.builders import MODEL, make_arm, make_model_file


class Searched:
    """As much of a runner as is asked here."""

    def __init__(
        self, found: Found | Missing, *, packagings: tuple[Packaging, ...] = (Packaging.GGUF,)
    ) -> None:
        self.found = found
        self.packagings = packagings
        self.searches = 0

    def find(self) -> Found | Missing:
        self.searches += 1
        return self.found


FOUND = Found(
    version="b1",
    where="here",
    methods=(
        MethodSupport("mtp", supported=True, needs=(Need.MTP_HEADS,)),
        MethodSupport("ngram-mod", supported=True),
        MethodSupport("ngram-cache", supported=True, fixed_length=8),
        MethodSupport("dflash", supported=False, note="the build has no draft-dflash"),
    ),
    acceptance_source="",
)
SYNTHETIC = SyntheticAcceptance(length=3.5)


def judged(searched: Searched, *arms: Arm) -> list[Arm]:
    return judge(arms, {"llama.cpp": cast("Runner", searched)}, Shelf(make_model_file))


def test_a_runner_that_is_missing_or_reads_no_models_is_held_against_nothing() -> None:
    arms = [make_arm("mtp", 2), make_arm("medusa", 2)]
    assert judged(Searched(Missing("gone", "install it")), *arms) == arms
    assert judged(Searched(FOUND, packagings=()), *arms) == arms


def test_a_runner_is_searched_once_and_plain_decoding_needs_no_search() -> None:
    searched = Searched(FOUND)
    assert judged(searched, make_arm()) == [make_arm()]
    assert searched.searches == 0
    judged(searched, *(make_arm("mtp", length) for length in (1, 2, 3)))
    assert searched.searches == 1


def test_the_files_of_arms_that_are_alike_are_looked_at_once() -> None:
    read: list[Path] = []

    def reading(path: Path) -> ModelFile:
        read.append(path)
        return make_model_file(path)

    arms = [make_arm("mtp", length) for length in range(1, 9)]
    judge(arms, {"llama.cpp": cast("Runner", Searched(FOUND))}, Shelf(reading))
    assert read == [Path(MODEL)]


def test_what_the_build_cannot_do_is_impossible() -> None:
    arms = judged(Searched(FOUND), make_arm("dflash", 2), make_arm("eagle3", 2))
    assert [arm.impossible for arm in arms] == [
        "this build of the runner cannot speculate by dflash: the build has no draft-dflash",
        "this build of the runner cannot speculate by eagle3",
    ]


def test_a_part_of_a_chain_that_cannot_work_is_the_chain_s_reason() -> None:
    (arm,) = judged(Searched(FOUND), make_arm("mtp+dflash", 2))
    assert str(arm.impossible).startswith("target.gguf holds no MTP heads")


def test_acceptance_that_cannot_be_had_is_impossible_with_any_runner() -> None:
    arms = [make_arm("mtp", length, synthetic=SYNTHETIC) for length in (2, 3)]
    found = judged(Searched(FOUND, packagings=()), *arms)
    assert [arm.impossible is None for arm in found] == [False, True]
    assert left_out(found) == [
        "mtp τ=3.5 k=2: a mean of 3.5 tokens a step cannot come of 2 draft tokens: at most 3"
    ]


def test_rates_must_do_for_the_longest_draft_of_a_chain() -> None:
    def reason(method: str, count: int) -> str | None:
        synthetic = SyntheticAcceptance(rates=(0.5,) * count)
        (arm,) = judged(Searched(FOUND), make_arm(method, 3, synthetic=synthetic))
        return arm.impossible

    chain = "ngram-cache+ngram-mod"
    assert reason(chain, 8) is None
    assert reason(chain, 7) == "7 synthetic rates are too few for 8 draft tokens"
    assert reason("ngram-mod", 3) is None
    length = make_arm(chain, 3, synthetic=SYNTHETIC)
    assert judged(Searched(FOUND), length)[0].impossible is None


def test_lines_are_one_for_each_method_and_reason() -> None:
    arms = [make_arm("mtp", length, impossible="no heads") for length in (2, 4)]
    arms.append(make_arm("draft-model", 2, impossible="other tokens"))
    assert left_out([make_arm(), *arms]) == [
        "mtp k=2, 4: no heads",
        "draft-model k=2: other tokens",
    ]


def test_lines_name_the_runner_where_there_are_several() -> None:
    arms = [
        make_arm(runner="old"),
        make_arm("mtp", 2, runner="old", impossible="no heads"),
        make_arm("mtp", 2),
    ]
    assert left_out(arms) == ["old, mtp k=2: no heads"]


def test_a_runner_of_which_nothing_can_work_is_one_line() -> None:
    old = [
        make_arm(method, tokens, runner="old", impossible="no model")
        for method, tokens in (("none", None), ("mtp", 2), ("mtp", 4))
    ]
    assert left_out([make_arm(), *old]) == ["old: no model"]
    other = make_arm("eagle", 2, runner="old", impossible="another reason")
    assert left_out([make_arm(), *old, other]) == [
        "old, plain: no model",
        "old, mtp k=2, 4: no model",
        "old, eagle k=2: another reason",
    ]
    assert left_out(old) == ["plain: no model", "mtp k=2, 4: no model"]
