"""What a report says of several runners, in words and cells."""

from __future__ import annotations

import csv as standard_csv
import io
import re

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.report import html, markdown
from harness.report.content import build_report
from harness.report.csv import render_side_by_side
from harness.report.figures import draw_figures
from harness.report.side_by_side import HEADING, MEANINGS
from harness.report.terminal import print_summary
from harness.report.write import write_reports
from tests.harness.builders import make_launch, make_model_file, make_probe, make_run
from tests.harness.report.hostile import HOSTILE, hostile_run
from tests.harness.report.test_formats import OWN_TAGS, Page, ordinary_run
from tests.harness.runners import (
    ARMS,
    DRAFTED,
    MLX,
    MLX_DRAFTED,
    PLAIN,
    VLLM,
    answers,
    near_tie_run,
    other_prompts_run,
    parted,
    runner_info,
    runners_run,
)

SEVERAL = {
    "three": runners_run(),
    "near-tie": near_tie_run(),
    "other prompts": other_prompts_run(),
}


def hostile_runners():
    """The hostile run, with a second runner beside the first."""
    run = hostile_run()
    plain = run.manifest.arms[0]
    other = plain.model_copy(
        update={
            "id": "other",
            "runner": f"{HOSTILE}2",
            "baseline": "other",
            "counterpart": plain.id,
        }
    )
    samples = [
        sample.model_copy(update={"arm": other.id, "prompt_tokens": 44})
        for sample in run.samples
        if sample.arm == plain.id
    ]
    return make_run(
        [*run.manifest.arms, other],
        [*run.samples, *samples],
        launches=[*run.launches, make_launch(other)],
        prompts=run.manifest.prompts,
        runners=(*run.manifest.runners, runner_info(other.runner)),
        models=run.manifest.models,
    )


def cells_of(run):
    """Cells by heading, of each arm's row; for runs of one workload."""
    section = build_report(run).side_by_side
    headings = [column.heading for column in section.table.columns]
    arms = [row.trial.arm.id for group in section.groups for row in group.rows]
    return {
        arm: dict(zip(headings, row, strict=True))
        for arm, row in zip(arms, section.table.rows, strict=True)
    }


def line_of(run):
    (line,) = [line for line in build_report(run).headlines if "side by side" in line]
    return line


def terminal(run, width):
    out = io.StringIO()
    print_summary(build_report(run), Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def page(run):
    report = build_report(run)
    return html.render(report, draw_figures(report.rows))


# ---- the table -----------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_runner():
    cells = cells_of(runners_run())
    assert list(cells) == [arm.id for arm in (*ARMS[::2], *ARMS[1::2])]
    row = cells[MLX_DRAFTED.id]
    assert row.pop("tok/s [95%]").startswith("60.0 [")
    assert row.pop("ratio [95%]").startswith("0.43x [0.4")
    assert row == {
        "setting": "draft-model k=2",
        "workload": "coding",
        "runner": "mlx",
        "weights": "BF16",
        "same text": "identical",
        "prompt tokens": "same",
        "acceptance": "50.0%",
        "τ": "2.00",
        "TTFT": "100 ms",
        "prefill tok/s": "500.0",
        "peak memory": "1.20 GB",
        "start-up": "4.0 s",
    }
    first = cells[DRAFTED.id]
    assert (first["ratio [95%]"], first["same text"]) == ("reference", "reference")
    assert cells[PLAIN.id]["acceptance"] == "–"
    assert "acceptance" not in cells_of(near_tie_run())[PLAIN.id]


@pytest.mark.parametrize(
    ("run", "arm", "words"),
    [
        (near_tie_run(), MLX, "near-tie at 36 in 3 of 6 (0.03)"),
        (other_prompts_run(), VLLM, "the prompts differ"),
        (
            runners_run((PLAIN, MLX), [*answers(PLAIN), *answers(MLX, tokens=parted(5))]),
            MLX,
            "differs at 5 in 6 of 6 (not probed)",
        ),
        (
            runners_run(
                (PLAIN, MLX),
                [*answers(PLAIN), *answers(MLX, tokens=parted(5))],
                probes=[make_probe(s, 5, -0.2, -2.1) for s in answers(PLAIN)[:2]],
            ),
            MLX,
            "differs at 5 in 6 of 6 (margin 1.9)",
        ),
        (
            runners_run(
                (PLAIN, MLX),
                [*answers(PLAIN), *answers(MLX, tokens=None, text_sha256="00")],
            ),
            MLX,
            "differs in 6 of 6 (not probed)",
        ),
    ],
)
def test_the_words_on_a_text(run, arm, words):
    assert cells_of(run)[arm.id]["same text"] == words


def test_prompts_of_other_lengths_have_an_example():
    cells = cells_of(other_prompts_run())
    assert cells[VLLM.id]["prompt tokens"] == "1 of 2 differ: 44 against 40"
    assert cells[MLX.id]["prompt tokens"] == "same"


def test_what_is_missing_is_told_apart():
    bare = {"prompt_tokens": None, "ttft_s": None, "runner_peak_memory": None}
    run = runners_run(
        (PLAIN, MLX, VLLM),
        [*answers(PLAIN), *answers(MLX, **bare)],
        launches=[make_launch(VLLM, status="failed", reason="it did not start: no")],
        models=(),
    )
    cells = cells_of(run)
    for heading in ("prompt tokens", "TTFT", "peak memory"):
        assert cells[MLX.id][heading] == "not exposed"
    assert cells[MLX.id]["start-up"] == "–"
    assert "weights" not in cells[MLX.id]
    lost = cells[VLLM.id]
    assert lost["tok/s [95%]"] == "no figures"
    unknown = ("ratio [95%]", "same text", "prompt tokens", "TTFT", "peak memory")
    assert {lost[heading] for heading in unknown} == {"–"}


def test_what_has_nothing_beside_it_is_not_called_unexposed():
    cells = cells_of(runners_run((PLAIN, MLX), answers(MLX)))
    assert cells[PLAIN.id]["tok/s [95%]"] == "no figures"
    assert cells[MLX.id]["same text"] == cells[MLX.id]["prompt tokens"] == "–"


def test_a_setting_without_any_figures_is_no_row():
    run = runners_run((PLAIN, DRAFTED, MLX, MLX_DRAFTED), [*answers(PLAIN), *answers(MLX)])
    table = build_report(run).side_by_side.table
    assert [row[0] for row in table.rows] == ["plain", "plain"]


def test_remarks_say_why_texts_may_differ_and_what_nobody_looked_at():
    run = runners_run((PLAIN, MLX), [*answers(PLAIN), *answers(MLX, tokens=parted(5))])
    assert build_report(run).side_by_side.remarks == (
        "The runners' weights are not of one type (llama.cpp Q8_0, mlx BF16): that alone may "
        "change texts.",
        "Differences not probed, 1 row: the run did not come to it.",
    )
    same = [
        model.model_copy(update={"facts": make_model_file(model.path, quantization="F16").facts})
        for model in run.manifest.models
    ]
    whole = runners_run((PLAIN, MLX), models=same)
    assert build_report(whole).side_by_side.remarks == ()


def test_weights_that_a_runner_casts_are_named():
    run = runners_run((PLAIN, VLLM))
    models = [
        model.model_copy(update={"facts": make_model_file(model.path, quantization="F32").facts})
        for model in run.manifest.models
    ]
    for options, words in (
        ((), "F32 in a type of vLLM's choice"),
        ((("dtype", "bfloat16"),), "F32 as BF16"),
        ((("dtype", "float"),), None),
    ):
        vllm = VLLM.model_copy(update={"options": options})
        run = runners_run((PLAIN, vllm), [*answers(PLAIN), *answers(VLLM)], models=models)
        cells = cells_of(run)
        # Where all are alike, there is no column.
        assert cells[VLLM.id].get("weights") == words
        assert cells[PLAIN.id].get("weights") == (words and "F32")


# ---- the sentence --------------------------------------------------------------------------------


def test_one_sentence_compares_the_runners():
    line = line_of(runners_run())
    assert line.startswith(
        "coding, runners side by side: plain llama.cpp 100.0 [98.0, 102.0] tok/s; "
    )
    assert "; mlx 0.50x [0.4" in line
    assert "], same text; vllm 1.00x [0.9" in line
    assert (
        "] (cannot be told apart), same text. Best of each: llama.cpp · draft-model k=2 1" in line
    )
    assert "tok/s; mlx · draft-model k=2 0.43x [" in line
    assert line.rpartition("; ")[2].startswith("vllm · plain 0.71x [")


@pytest.mark.parametrize(
    ("run", "ending"),
    [
        (near_tie_run(), "], same text but for near-ties in 3 of 6 answers"),
        (other_prompts_run(), "(cannot be told apart), the prompts differ"),
        (
            runners_run((PLAIN, MLX), [*answers(PLAIN), *answers(MLX, tokens=parted(5))]),
            "], 6 of 6 answers differ",
        ),
        (runners_run((PLAIN, MLX), temperature=0.5), "], texts not comparable"),
        (
            runners_run((PLAIN, MLX), [s for arm in (PLAIN, MLX) for s in answers(arm, rounds=2)]),
            "], same text (only 4 pairs: a screen, not a proof)",
        ),
        (runners_run((PLAIN, MLX), answers(PLAIN)), " tok/s; mlx has no figures"),
        (
            runners_run((PLAIN, MLX), answers(MLX)),
            ": plain llama.cpp has no figures; mlx 50.0 [49.0, 51.0] tok/s",
        ),
    ],
)
def test_the_sentence_is_honest(run, ending):
    assert line_of(run).endswith(ending)


def test_a_runner_that_is_only_compared_has_no_sentence_of_its_own():
    reason = "vllm reads a Hugging Face folder, and the model is given as a GGUF file only"
    vllm = VLLM.model_copy(update={"impossible": reason})
    arms = (PLAIN, DRAFTED, MLX, vllm)
    run = runners_run(arms, [s for arm in arms[:3] for s in answers(arm)])
    line, own = build_report(run).headlines
    assert own.startswith("coding, against llama.cpp · plain: draft-model k=2 is 1.4")
    assert "; mlx 0.50x [" in line
    assert "; vllm cannot work" in line


def test_a_runner_that_failed_says_why():
    launches = [make_launch(MLX, status="failed", reason="it did not start: no memory")]
    run = runners_run((PLAIN, MLX), answers(PLAIN), launches=launches)
    line, why = build_report(run).headlines
    assert why.endswith("plain failed, so nothing can be compared: it did not start: no memory")
    assert line.endswith("; mlx has no figures")


@pytest.mark.parametrize("width", range(68, 200, 4))
def test_no_column_of_the_terminal_is_cut(width):
    options = (("batch-size", 2048), ("cache-type-k", "q8_0"))
    arms = [arm.model_copy(update={"options": options}) for arm in (PLAIN, MLX)]
    run = runners_run(arms, [*answers(PLAIN), *answers(MLX, tokens=parted(5))])
    headings = {column.heading for column in build_report(run).side_by_side.table.columns}
    lines = terminal(run, width).splitlines()
    (heads,) = (line for line in lines if line.startswith("setting") and "ratio [95%]" in line)
    assert set(re.split(r"\s{2,}", heads.strip())) <= headings
    assert all(len(line) <= width for line in lines)


def test_what_is_so_everywhere_is_said_once():
    doubtful = [s for arm in (PLAIN, MLX) for s in answers(arm, cached_tokens=4)]
    text = terminal(runners_run((PLAIN, MLX), doubtful), 100)
    assert "- 6 of 6: prompt partly from a cache: every setting" in text
    one = [*answers(PLAIN), *answers(MLX, cached_tokens=4)]
    assert "prompt partly from a cache: mlx · plain" in terminal(
        runners_run((PLAIN, MLX), one), 100
    )


def test_sentences_name_their_length_where_there_are_several():
    samples = [
        sample.model_copy(update={"max_tokens": length})
        for length in (64, 128)
        for arm in (PLAIN, MLX)
        for sample in answers(arm)
    ]
    lines = build_report(runners_run((PLAIN, MLX), samples)).headlines[:2]
    assert [line.partition(":")[0] for line in lines] == [
        "coding, 64 tokens, runners side by side",
        "coding, 128 tokens, runners side by side",
    ]


def test_a_runner_with_several_options_is_named_by_them():
    other = MLX.model_copy(
        update={"id": "m2", "baseline": "m2", "options": (("prefill_step_size", 64),)}
    )
    samples = [*answers(PLAIN), *answers(MLX)]
    samples += [s.model_copy(update={"arm": other.id}) for s in answers(MLX)]
    line = line_of(runners_run((PLAIN, MLX, other), samples))
    assert "; mlx · plain 0.50x [" in line
    assert "; mlx · plain, prefill_step_size=64 0.50x [" in line
    table = build_report(runners_run((PLAIN, MLX, other), samples)).side_by_side.table
    runners = [column.heading for column in table.columns].index("runner")
    assert [row[runners] for row in table.rows] == [
        "llama.cpp",
        "mlx · plain",
        "mlx · plain, prefill_step_size=64",
    ]


def test_other_prompts_are_told_before_anything_else():
    run = other_prompts_run()
    (warning,) = build_report(run).warnings
    assert warning.startswith(
        "vllm reads other prompts than llama.cpp: 1 of 2 are not equally long "
        "(44 against 40 tokens in coding/p2). It has another chat template or tokenizer"
    )
    report = build_report(run)
    for text in (page(run), markdown.render(report, ()), terminal(run, 10_000)):
        assert text.index("vllm reads other prompts") < text.index("runners side by side:")
    assert build_report(runners_run()).warnings == ()


# ---- formats -------------------------------------------------------------------------------------


def test_the_section_is_there_only_with_several_runners():
    for run, several in ((runners_run(), True), (ordinary_run(), False)):
        report = build_report(run)
        for text in (page(run), markdown.render(report, ()), terminal(run, 200)):
            assert (HEADING.lower() in text.lower()) is several
            assert ("side_by_side.csv" in text) <= several
        assert (MEANINGS in terminal(run, 10_000)) is several
        assert ("warning" in page(run)) is False


@pytest.mark.parametrize("width", [200, 120, 100, 80])
@pytest.mark.parametrize("run", [*SEVERAL.values(), hostile_runners()], ids=[*SEVERAL, "hostile"])
def test_the_terminal_gets_lines_that_fit(run, width):
    text = terminal(run, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(character.isprintable() or character == "\n" for character in text)


def test_narrow_terminals_keep_the_ratio_and_the_text():
    for width in (100, 80):
        table = terminal(near_tie_run(), width).rpartition(HEADING.lower())[2]
        assert "0.50x [" in table
        assert "near-tie at 36" in table
    wide = terminal(runners_run(), 200)
    assert "start-up" in wide
    assert "Start-up is the median time" in " ".join(wide.split())
    assert "Start-up" not in terminal(runners_run(), 80)


def test_hostile_runners_stay_text():
    run = hostile_runners()
    found = Page(page(run))
    assert found.tags <= OWN_TAGS
    assert not found.open
    assert HEADING in " ".join(found.words)
    (warning,) = build_report(run).warnings
    assert "44 against 40" in warning
    parse = MarkdownIt("gfm-like", {"linkify": False}).parse
    kinds, allowed = (
        {token.type for token in parse(markdown.render(build_report(one), ()))}
        for one in (run, other_prompts_run())
    )
    assert kinds <= allowed


def test_csv_has_the_runners_as_raw_numbers(tmp_path):
    report = build_report(near_tie_run())
    text = render_side_by_side(report.side_by_side.groups)
    first, mlx = standard_csv.DictReader(io.StringIO(text))
    assert (first["arm"], first["counterpart"], first["ratio"]) == (PLAIN.id, "", "")
    assert (mlx["arm"], mlx["counterpart"], mlx["weights"]) == (MLX.id, PLAIN.id, "BF16")
    group = report.side_by_side.groups[0]
    assert float(mlx["ratio"]) == group.others[0].ratio.value
    assert float(mlx["ratio_low"]) == group.others[0].ratio.interval.low
    assert (mlx["same_text"], mlx["same_text_near_ties"], mlx["pairs"]) == ("near-tie", "3", "6")
    assert (mlx["start_s"], mlx["prompts_differing"]) == ("4.0", "0")
    hostile = render_side_by_side(build_report(hostile_runners()).side_by_side.groups)
    rows = list(standard_csv.DictReader(io.StringIO(hostile)))
    assert len(rows) == 2
    assert (rows[1]["same_text_reason"], rows[1]["same_text_differing"]) == (
        "the prompts differ",
        "",
    )
    written = write_reports(report, tmp_path / "several")
    assert written.side_by_side is not None
    assert written.side_by_side.read_text() == text
    alone = write_reports(build_report(ordinary_run()), tmp_path / "alone")
    assert alone.side_by_side is None
    assert not (tmp_path / "alone" / "side_by_side.csv").exists()
