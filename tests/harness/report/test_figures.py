from __future__ import annotations

from xml.etree import ElementTree

from harness.analysis.summary import summarise
from harness.report.figures import draw_figures
from tests.harness.builders import make_arm, make_run, make_samples
from tests.harness.report.hostile import hostile_run

PLAIN = make_arm()


def rows(lengths=(1, 2, 4), *, workloads=("coding",), max_tokens=(128,), rate=60.0):
    arms = [PLAIN, *(make_arm("ngram-mod", k) for k in lengths)]
    samples = [
        sample
        for workload in workloads
        for limit in max_tokens
        for arm in arms
        for sample in make_samples(
            arm,
            [rate - 1, rate, rate + 1, rate + 2],
            workload=workload,
            max_tokens=limit,
        )
    ]
    return summarise(make_run(arms, samples))


def test_the_same_rows_give_the_same_bytes():
    assert draw_figures(rows()) == draw_figures(rows())
    assert draw_figures(rows()) != draw_figures(rows(rate=61.0))


def test_a_figure_is_sound_and_names_no_date():
    (figure,) = draw_figures(rows())
    ElementTree.fromstring(figure.svg)
    assert "dc:date" not in figure.svg


def test_one_figure_for_each_workload_and_length():
    figures = draw_figures(rows(workloads=("coding", "prose"), max_tokens=(64, 128)))
    assert [figure.name for figure in figures] == [
        "1-coding-64-tokens",
        "2-coding-128-tokens",
        "3-prose-64-tokens",
        "4-prose-128-tokens",
    ]
    assert [figure.title for figure in draw_figures(rows())] == ["coding"]


def test_without_a_draft_length_there_is_nothing_to_draw():
    assert draw_figures(rows(lengths=())) == ()


def test_hostile_names_neither_break_nor_warn():
    (figure,) = draw_figures(summarise(hostile_run()))
    ElementTree.fromstring(figure.svg)
    assert "<script" not in figure.svg


def test_a_name_that_starts_with_an_underscore_is_in_the_legend():
    # matplotlib leaves such names out, with a warning, which fails a test here.
    arms = [
        make_arm(runner="_a", id="a", baseline="a"),
        make_arm("ngram-mod", 2, runner="_b", baseline="a"),
    ]
    samples = [sample for arm in arms for sample in make_samples(arm, [50.0, 51.0, 52.0])]
    (figure,) = draw_figures(summarise(make_run(arms, samples)))
    assert "b · ngram-mod" in figure.svg


def test_unknown_acceptance_leaves_only_its_own_line_empty():
    arm = make_arm("ngram-mod", 2)
    samples = [
        *make_samples(PLAIN, [50.0, 51.0, 52.0]),
        *make_samples(
            arm,
            [60.0, 61.0, 62.0],
            change=lambda s: s.model_copy(update={"drafted": None, "accepted": None}),
        ),
    ]
    (figure,) = draw_figures(summarise(make_run([PLAIN, arm], samples)))
    ElementTree.fromstring(figure.svg)
