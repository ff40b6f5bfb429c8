"""What a report says of a sweep that went on until it was precise."""

from __future__ import annotations

from dataclasses import replace

from harness.report.content import build_report
from tests.harness.builders import make_arm, make_run, make_samples


def test_whether_it_became_as_precise_as_was_asked_for() -> None:
    plain, fast = make_arm(), make_arm("draft-model", 2)
    samples = [
        *make_samples(plain, [100.0, 99.0, 101.0, 100.0] * 2, prompts=("p1", "p2")),
        *make_samples(fast, [150.0, 149.0, 150.0, 152.0] * 2, prompts=("p1", "p2")),
    ]
    for wanted, words in ((0.05, "As precise as was asked for"), (0.001, "Less precise than was")):
        run = make_run((plain, fast), samples, precision=wanted, repeats=3)
        report = build_report(run)
        (remark,) = [one for one in report.remarks if "precise" in one]
        assert remark.startswith(words)
        assert "after 4 rounds: coding draft-model k=2 at ±" in remark
        facts = {fact.name: fact.value for fact in report.method.facts}
        assert facts["rounds"] == (
            f"4, at least 3 and at most 30, until every interval is within ±{100 * wanted:g}%"
        )
    assert not [
        one for one in build_report(make_run((plain, fast), samples)).remarks if "prec" in one
    ]


def test_a_run_that_goes_on_is_whole_when_its_last_session_ended_by_itself() -> None:
    plain = make_arm()
    samples = make_samples(plain, [100.0, 99.0] * 5, prompts=("p1", "p2"))
    ended = make_run((plain,), samples, precision=0.02, repeats=3)
    assert ended.planned == len(samples) == 10
    session = ended.sessions[0].model_copy(update={"interrupted": True})
    # Interrupted just where a round ended, or in the middle of one, and never ended at all.
    assert replace(ended, sessions=(session,)).planned == 12
    assert replace(ended, sessions=(session,), samples=tuple(samples[:9])).planned == 10
    assert replace(ended, sessions=()).planned == 12
    assert replace(ended, sessions=(), samples=()).planned == 6
    words = "10 of at least 12 planned requests were sent."
    assert words in build_report(replace(ended, sessions=(session,))).remarks
