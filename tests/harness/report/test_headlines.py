from __future__ import annotations

import pytest

from harness.report.content import build_report
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import (
    PLAIN_TOKENS,
    make_arm,
    make_probe,
    make_run,
    make_sample,
    make_samples,
)

PLAIN = make_arm()
FAST = make_arm("ngram-mod", 4)
PROMPTS = ("p1", "p2")
RATES = [50.0] * 6


def headlines(factor, *, count=6, change=None, noise=(0.98, 1.0, 1.02), **manifest):
    rates = [50.0 * factor * noise[index % len(noise)] for index in range(count)]
    change = change or {}
    samples = [
        *make_samples(PLAIN, RATES[:count], prompts=PROMPTS),
        *make_samples(
            FAST, rates, prompts=PROMPTS, change=lambda sample: sample.model_copy(update=change)
        ),
    ]
    return build_report(make_run([PLAIN, FAST], samples, **manifest)).headlines


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ({"factor": 1.32}, "coding: ngram-mod k=4 is 1.32x plain [1.2"),
        ({"factor": 0.8}, "coding: plain is fastest; best of the others is ngram-mod k=4, 0.80x ["),
        (
            {"factor": 1.0},
            "coding: no setting proven faster than plain: best is ngram-mod k=4 1.00x [0.9",
        ),
    ],
)
def test_the_three_verdicts(arguments, pattern):
    (line,) = headlines(**arguments)
    assert line.startswith(pattern)


@pytest.mark.parametrize(
    ("change", "manifest", "ending"),
    [
        ({}, {}, "], lossless"),
        ({}, {"temperature": 0.7}, "], not known to be lossless"),
        (
            {"tokens": (*PLAIN_TOKENS[:37], -1)},
            {},
            "], but its text differs in 6 of 6 answers, at token 37 (not probed)",
        ),
        (
            {"tokens": None, "text_sha256": "00"},
            {},
            "], but its text differs in 6 of 6 answers (not probed)",
        ),
    ],
)
def test_a_winner_tells_whether_it_is_lossless(change, manifest, ending):
    (line,) = headlines(1.5, change=change, **manifest)
    assert line.endswith(ending)


@pytest.mark.parametrize(
    ("second", "ending"),
    [
        (-0.83, "], lossless but for near-ties in 6 of 6 answers"),
        (-2.7, "], but its text differs in 6 of 6 answers, at token 37 by a margin of 1.9"),
    ],
)
def test_a_near_tie_does_not_disqualify_and_a_real_difference_does(second, ending):
    probes = [make_probe(make_sample(PLAIN, prompt=prompt), 37, -0.8, second) for prompt in PROMPTS]
    (line,) = headlines(1.5, change={"tokens": (*PLAIN_TOKENS[:37], -1)}, probes=probes)
    assert line.endswith(ending)


def test_drafts_by_draw_are_in_no_headline():
    drawn = make_arm("ngram-mod", 4, id="drawn", synthetic=SyntheticAcceptance(length=5))
    samples = [*make_samples(PLAIN, RATES), *make_samples(drawn, [99.0, 98.0, 97.0] * 2)]
    (line,) = build_report(make_run([PLAIN, drawn], samples)).headlines
    assert line == "coding: plain decodes 50.0 tok/s, with nothing to compare"
    samples += make_samples(FAST, [75.0, 76.0, 74.0] * 2)
    (line,) = build_report(make_run([PLAIN, drawn, FAST], samples)).headlines
    assert line.startswith("coding: ngram-mod k=4 is 1.50x plain")
    assert "synthetic" not in line


def test_a_winner_that_loops_says_so():
    (line,) = headlines(1.5, change={"tokens": (1, 2) * 40})
    assert line.endswith(
        "but doubtful (6 of 6: the answer ends in a loop, which is easier to draft than other text)"
    )


def test_few_pairs_are_a_screen():
    (line,) = headlines(1.5, count=4)
    assert line.endswith("lossless (only 4 pairs: a screen, not a proof)")


def test_too_few_pairs_for_an_interval():
    (line,) = headlines(1.5, count=2)
    assert line == (
        "coding: no setting proven faster than plain: best is ngram-mod k=4 1.48x, "
        "from too few pairs (2) for an interval"
    )


def test_the_best_of_many_may_be_lucky():
    others = [make_arm("ngram-mod", k) for k in range(5, 45)]
    gains = [1.01, 1.02, 1.03, 1.02, 1.01, 1.03]
    samples = [
        *make_samples(PLAIN, RATES),
        *make_samples(FAST, [50.0 * gain for gain in gains]),
        *(sample for arm in others for sample in make_samples(arm, [49.0] * 6)),
    ]
    (line,) = build_report(make_run([PLAIN, FAST, *others], samples)).headlines
    assert line.startswith("coding: no setting proven faster than plain: best is ngram-mod k=4 1.0")
    assert line.endswith("], which the best of 41 may be by luck: measure more rounds")


def test_plain_is_fastest_of_what_was_measured():
    lost = make_arm("mtp", 2)
    samples = [*make_samples(PLAIN, RATES), *make_samples(FAST, [40, 41, 42, 40, 41, 42])]
    (line,) = build_report(make_run([PLAIN, FAST, lost], samples)).headlines
    assert line.startswith(
        "coding: plain is fastest of what could be measured (1 setting failed); "
        "best of the others is ngram-mod k=4, 0.8"
    )


def test_plain_alone_for_failures_is_told():
    lost = [make_arm("mtp", k) for k in (2, 4)]
    (line,) = build_report(make_run([PLAIN, *lost], make_samples(PLAIN, RATES))).headlines
    assert line == ("coding: plain decodes 50.0 tok/s, with nothing to compare (2 settings failed)")


def test_rejected_drafts_win_nothing():
    (line,) = headlines(1.5, change={"accepted": 0})
    assert line.endswith("with every draft rejected")


def test_rivals_are_named():
    other = make_arm("ngram-mod", 6)
    samples = [
        *make_samples(PLAIN, [50.0] * 6),
        *make_samples(FAST, [75.0, 76.0, 74.0, 75.0, 76.0, 74.0]),
        *make_samples(other, [74.0, 76.0, 74.5, 76.0, 74.0, 75.0]),
    ]
    (line,) = build_report(make_run([PLAIN, FAST, other], samples)).headlines
    assert line.endswith("; cannot be told apart from ngram-mod k=6")


def test_plain_alone_is_told():
    (line,) = build_report(make_run([PLAIN], make_samples(PLAIN, RATES))).headlines
    assert line == "coding: plain decodes 50.0 tok/s, with nothing to compare"


def test_a_plain_arm_that_failed_is_told():
    run = make_run([PLAIN, FAST], make_samples(FAST, RATES), launches=[])
    (line,) = build_report(run).headlines
    assert line == "coding: plain was not measured, so nothing can be compared"


def test_a_plain_arm_that_cannot_work_says_so():
    reason = "mlx reads an MLX folder, and the model is given as a GGUF file only"
    arms = [arm.model_copy(update={"impossible": reason}) for arm in (PLAIN, FAST)]
    (line,) = build_report(make_run(arms, [], launches=[])).headlines
    assert line == f"coding: plain cannot work, so nothing can be compared: {reason}"


def test_places_are_told_apart():
    other = make_arm(id="t2", options=(("threads", 2),), baseline="t2")
    samples = [
        sample
        for length in (64, 128)
        for arm in (PLAIN, other)
        for sample in make_samples(arm, RATES[:1], max_tokens=length)
    ]
    lines = build_report(make_run([PLAIN, other], samples)).headlines
    assert [line.partition(":")[0] for line in lines] == [
        "coding, 64 tokens, against plain",
        "coding, 64 tokens, against plain, threads=2",
        "coding, 128 tokens, against plain",
        "coding, 128 tokens, against plain, threads=2",
    ]
