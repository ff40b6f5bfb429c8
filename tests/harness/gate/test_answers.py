"""Answers that leave plain decoding's on one side and not on the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.lossless import Lossless, Verdict, not_comparable
from harness.gate import answers
from harness.gate.answers import judge_lossless
from harness.gate.decide import Decision
from harness.gate.gate import gate
from harness.gate.verdict import Figure, Row
from harness.records import Sample
from tests.harness.builders import PLAIN_TOKENS, make_probe
from tests.harness.gate.runs import PROMPTS, ab_run, arms_of, changed, samples_of

OTHER = changed(tokens=(*PLAIN_TOKENS[:5], 1, 2), text_sha256="1" * 64)
"""Parts from plain's answer after five tokens."""


def lossless(run: Path) -> Row:
    (found,) = [one for one in gate(str(run), threshold=0.05).rows if one.figure is Figure.LOSSLESS]
    return found


def probed(side: str, second: float) -> list[object]:
    """Plain decoding of a side, asked where OTHER parts: its token 1 is `second` below its own."""
    (plain, _) = arms_of(side, prefix=f"{side}-")
    return [
        make_probe(sample, 5, arm=plain.id, top=((PLAIN_TOKENS[5], -0.1), (1, -0.1 - second)))
        for sample in samples_of([plain], rounds=1, noise=(0.0,))
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_difference_at_no_near_tie_is_a_regression(tmp_path: Path, reverse: bool) -> None:
    run = ab_run(
        tmp_path / "run",
        change=OTHER,
        only="draft",
        probes=probed("candidate", 3.0),
        reverse=reverse,
    )
    found = lossless(run)
    assert found.decision is Decision.REGRESSED
    assert found.reason == (
        "12 of 12 answers differ from plain's, 12 of them not at a near-tie; in the baseline none"
    )
    assert gate(str(run), threshold=0.05).decision is Decision.REGRESSED


def test_a_difference_at_a_near_tie_passes_and_is_told(tmp_path: Path) -> None:
    found = lossless(
        ab_run(tmp_path / "run", change=OTHER, only="draft", probes=probed("candidate", 0.01))
    )
    assert found.decision is Decision.PASSED
    assert found.reason == "12 of 12 answers differ from plain's, all at near-ties"


def test_a_difference_that_was_not_probed_cannot_be_told(tmp_path: Path) -> None:
    found = lossless(ab_run(tmp_path / "run", change=OTHER, only="draft"))
    assert found.decision is Decision.INCONCLUSIVE
    assert str(found.reason).endswith("the run did not probe it")


def test_what_the_baseline_did_too_is_no_news(tmp_path: Path) -> None:
    found = lossless(
        ab_run(
            tmp_path / "run",
            change=OTHER,
            before=OTHER,
            only="draft",
            probes=[*probed("candidate", 3.0), *probed("baseline", 3.0)],
        )
    )
    assert found.decision is Decision.PASSED
    assert str(found.reason).endswith("no news")


def test_an_answer_that_only_the_limit_cut_is_the_same(tmp_path: Path) -> None:
    cut = changed(tokens=PLAIN_TOKENS[:-1], text_sha256="2" * 64, finish_reason="length")
    found = lossless(ab_run(tmp_path / "run", change=cut, only="draft"))
    assert (found.decision, found.reason) == (Decision.PASSED, None)


def test_sampled_answers_are_not_compared(tmp_path: Path) -> None:
    found = lossless(ab_run(tmp_path / "run", change=OTHER, only="draft", temperature=0.7))
    assert found.decision is Decision.INCONCLUSIVE
    assert "sampled at temperature 0.7" in str(found.reason)


def test_hashes_alone_tell_that_answers_are_the_same(tmp_path: Path) -> None:
    found = lossless(ab_run(tmp_path / "run", change=changed(tokens=None), only="draft"))
    assert found.decision is Decision.PASSED
    unknown = changed(tokens=None, text_sha256=None)
    found = lossless(ab_run(tmp_path / "none", change=unknown, only="draft"))
    assert found.decision is Decision.INCONCLUSIVE


def test_only_answers_that_differ_are_read_again_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Sample] = []
    whole = answers._answers

    def counted(*arguments: object) -> object:
        for sample in whole(*arguments):  # type: ignore[arg-type]
            read.append(sample)
            yield sample

    monkeypatch.setattr(answers, "_answers", counted)
    run = ab_run(
        tmp_path / "run",
        rounds=40,
        change=lambda s: OTHER(s) if s.prompt == "p1" and s.round > 2 else s,
        only="draft",
    )
    found = lossless(run)
    assert str(found.reason).startswith("38 of 80 answers differ")
    assert [(one.arm, one.prompt) for one in read] == [
        ("candidate-none", "p1"),
        ("candidate-draft", "p1"),
    ]


def test_what_is_too_much_to_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_PAIRS", 1)
    run = ab_run(tmp_path / "run", change=OTHER, only="draft", probes=probed("candidate", 0.01))
    found = lossless(run)
    assert len(PROMPTS) == 2
    assert found.decision is Decision.INCONCLUSIVE
    assert "only the first 1 pairs of texts" in str(found.reason)


CLEAR = Lossless(Verdict.DIFFERENT, compared=8, differing=2)
NEAR = Lossless(Verdict.NEAR_TIE, compared=8, differing=2, near_ties=2)
UNPROBED = Lossless(
    Verdict.DIFFERENT, compared=8, differing=1, unprobed=1, unprobed_reason="no server"
)
SAME = Lossless(Verdict.IDENTICAL, compared=8)
NOTHING = not_comparable("nothing to compare")


@pytest.mark.parametrize(
    ("before", "after", "decision"),
    [
        (SAME, CLEAR, Decision.REGRESSED),
        (NEAR, CLEAR, Decision.REGRESSED),
        (UNPROBED, CLEAR, Decision.INCONCLUSIVE),
        (NOTHING, CLEAR, Decision.INCONCLUSIVE),
        (CLEAR, CLEAR, Decision.PASSED),
        (CLEAR, UNPROBED, Decision.PASSED),
        (SAME, UNPROBED, Decision.INCONCLUSIVE),
        (CLEAR, NEAR, Decision.PASSED),
        (SAME, SAME, Decision.PASSED),
        (NOTHING, SAME, Decision.PASSED),
        (SAME, NOTHING, Decision.INCONCLUSIVE),
    ],
)
def test_what_either_side_did_decides(
    before: Lossless, after: Lossless, decision: Decision
) -> None:
    assert judge_lossless(before, after)[0] is decision
