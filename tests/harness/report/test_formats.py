"""Every format of the same report: what is in it, and that hostile text stays text."""

from __future__ import annotations

import csv as standard_csv
import io
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.report import csv, html, markdown
from harness.report.content import build_report
from harness.report.figures import draw_figures
from harness.report.terminal import print_summary
from harness.report.write import write_reports
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import make_arm, make_launch, make_probe, make_run, make_samples
from tests.harness.report.hostile import hostile_run

PLAIN, FAST, LOST = make_arm(), make_arm("ngram-mod", 4), make_arm("mtp", 2)
OWN_TAGS = set(
    re.findall(
        r"\w+",
        "html head meta title style body main header h1 h2 h3 p ul li section div table thead "
        "tbody tr th td span br figure svg defs path g use clippath rect dl dt dd pre code",
    )
)
VOID = frozenset({"meta", "br"})


def ordinary_run():
    samples = [
        *make_samples(PLAIN, [50.0, 51.0, 49.0] * 2, prompts=("p1", "p2")),
        *make_samples(FAST, [75.0, 76.0, 74.0] * 2, prompts=("p1", "p2")),
    ]
    launches = [
        make_launch(PLAIN),
        make_launch(FAST, status="failed", reason="port in use", command="first"),
        make_launch(FAST, 2, command="run --second"),
        make_launch(LOST, status="failed", reason="it did not start: no heads"),
    ]
    return make_run([PLAIN, FAST, LOST], samples, launches=launches)


def with_draw():
    run = ordinary_run()
    drawn = make_arm("ngram-mod", 4, id="drawn", synthetic=SyntheticAcceptance(length=4))
    samples = make_samples(drawn, [90.0, 91.0, 89.0] * 2, prompts=("p1", "p2"))
    return make_run([*run.manifest.arms, drawn], [*run.samples, *samples], launches=run.launches)


def render_html(run):
    report = build_report(run)
    return html.render(report, draw_figures(report.rows))


def render_markdown(run):
    report = build_report(run)
    return markdown.render(report, draw_figures(report.rows))


def render_terminal(run, width):
    out = io.StringIO()
    print_summary(build_report(run), Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


class Page(HTMLParser):
    """Collects what a browser would act on, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


# ---- content ---------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_the_parts_come_in_order(render):
    text = render(ordinary_run())
    places = [
        text.index(part)
        for part in (
            "coding: ngram-mod k=4 is 1.50x plain",
            "75.0",
            "it did not start: no heads",
            "A Processor",
            "b9999",
            "run --second",
            "samples.jsonl",
        )
    ]
    assert places == sorted(places)
    assert "wall time, from the first launch to the last" in text
    assert "100 s, 40.0% loading, 59.0% waiting for tokens, 1.0% the harness itself" in text
    assert "1 of 2 launches failed: port in use" in text


def test_the_command_is_that_of_a_launch_that_came_up():
    commands = {c.setting: c.command for c in build_report(ordinary_run()).commands}
    assert commands["ngram-mod k=4"] == "run --second"
    assert commands["mtp k=2"].endswith("--spec-type mtp")


def test_a_run_that_was_cut_short_says_so():
    run = ordinary_run()
    assert "12 of 18 planned requests were sent." in build_report(run).remarks
    whole = make_run(run.manifest.arms[:2], run.samples)
    (remark,) = build_report(whole).remarks
    assert remark == "Ceilings stand on a memory bandwidth of 100.0 GB/s, as it was measured."


def test_reasons_for_empty_cells_are_said_once():
    run = ordinary_run()
    sampled = make_run(run.manifest.arms[:2], run.samples, temperature=0.5, models=())
    assert build_report(sampled).remarks == (
        "No ceiling for 2 rows: the model's header could not be read.",
        "Not compared with plain, 1 row: sampled at temperature 0.5, so answers differ anyway.",
    )


def test_a_run_without_samples_is_a_report_too():
    run = make_run([PLAIN, FAST], [], launches=[])
    assert "not measured" in render_html(run)
    assert "not measured" in render_markdown(run)
    assert "not measured" in render_terminal(run, 80)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_drafts_by_draw_have_a_section_that_says_what_they_are(render):
    text = render(with_draw())
    heading = text.index("Synthetic acceptance")
    assert text.index("ngram-mod k=4") < heading < text.index("synthetic τ=4")
    assert "measures the machine apart from any drafter" in text
    assert "Synthetic acceptance" not in render(ordinary_run())


def test_drafts_by_draw_are_apart_on_the_terminal():
    text = render_terminal(with_draw(), 120)
    assert "coding, synthetic acceptance" in text
    assert "measures the machine apart from any drafter" in " ".join(text.split())
    assert "synthetic" not in render_terminal(ordinary_run(), 120)


def test_drafts_by_draw_are_not_drawn():
    assert draw_figures(build_report(with_draw()).rows) == draw_figures(
        build_report(ordinary_run()).rows
    )


def test_why_differences_were_not_probed_is_said_once():
    samples = [
        *make_samples(PLAIN, [50.0, 51.0, 49.0]),
        *make_samples(
            FAST, [75.0, 76.0, 74.0], change=lambda s: s.model_copy(update={"tokens": (1, 2, 3)})
        ),
    ]
    assert build_report(make_run([PLAIN, FAST], samples, models=())).remarks[-1] == (
        "Differences not probed, 1 row: the run did not come to it."
    )


# ---- HTML ------------------------------------------------------------------------------------


def test_html_needs_nothing_from_outside():
    page = Page(render_html(ordinary_run()))
    links = [value for name, value in page.attributes if name.endswith(("href", "src"))]
    assert links
    assert all(link.startswith("#") for link in links)
    text = render_html(ordinary_run())
    assert "default-src &#39;none&#39;" in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_ids_are_unique_over_all_figures():
    samples = [
        sample
        for workload in ("coding", "prose")
        for arm in (PLAIN, FAST)
        for sample in make_samples(arm, [50.0, 51.0, 52.0], workload=workload)
    ]
    page = Page(render_html(make_run([PLAIN, FAST], samples)))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = {value for name, value in page.attributes if name.endswith("href")}
    assert used <= {f"#{one}" for one in ids}


def test_hostile_text_is_text_in_html():
    page = Page(render_html(hostile_run()))
    assert page.open == []
    assert page.tags <= OWN_TAGS
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    shown = "".join(page.words)
    assert "<script>alert(1)</script>" in shown
    assert "{{ 7*7 }}" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


# ---- Markdown --------------------------------------------------------------------------------


def test_hostile_text_is_text_in_markdown():
    text = render_markdown(hostile_run())
    parser = MarkdownIt("gfm-like", {"linkify": False})
    ordinary, hostile = (parser.parse(t) for t in (render_markdown(ordinary_run()), text))
    allowed = {token.type for token in ordinary}
    assert {token.type for token in hostile} <= allowed
    inline = {
        child.type
        for token in hostile
        for child in token.children or ()
        if not (child.type == "html_inline" and child.content == "<br>")
    }
    assert inline <= {"text", "text_special", "strong_open", "strong_close", "image", "softbreak"}
    fences = [token for token in hostile if token.type == "fence"]
    assert len(fences) == 3
    assert all("out of the fence" in fence.content for fence in fences)


def test_every_row_of_a_table_has_every_cell():
    for block in re.findall(r"(?:^\|.*\n)+", render_markdown(hostile_run()), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


# ---- CSV -------------------------------------------------------------------------------------


def test_csv_has_every_row_as_raw_numbers():
    report = build_report(ordinary_run())
    rows = list(standard_csv.DictReader(io.StringIO(csv.render(report.rows))))
    assert [row["arm"] for row in rows] == ["none", "ngram-mod-k4", "mtp-k2"]
    plain, fast, lost = rows
    assert float(fast["decode_rate"]) == report.rows[1].decode_rate.value
    assert float(fast["speedup_low"]) == report.rows[1].speedup.interval.low
    assert float(fast["acceptance_rate"]) == 0.5
    assert fast["accepted_per_position"] == "0.75; 0.5; 0.25"
    assert (plain["draft_tokens"], fast["draft_tokens"], fast["pairs"]) == ("", "4", "6")
    assert (plain["speedup"], plain["acceptance_rate"], lost["decode_rate"]) == ("", "", "")
    assert lost["failure"] == "it did not start: no heads"


def test_csv_has_the_parts_of_a_verdict_and_marks_draws():
    samples = [
        *make_samples(PLAIN, [50.0, 51.0, 49.0]),
        *make_samples(
            FAST, [75.0] * 3, change=lambda s: s.model_copy(update={"tokens": (*s.tokens[:9], -1)})
        ),
    ]
    probe = make_probe(samples[0], 9, -0.5, -0.75)
    run = make_run([PLAIN, FAST], samples, probes=[probe])
    _, fast = standard_csv.DictReader(io.StringIO(csv.render(build_report(run).rows)))
    assert (fast["lossless"], fast["lossless_differing"]) == ("near-tie", "3")
    assert (fast["lossless_near_ties"], fast["lossless_unprobed"]) == ("3", "0")
    assert (fast["first_difference"], fast["decisive_difference"]) == ("9", "9")
    assert (fast["margin"], fast["margin_at_least"], fast["synthetic"]) == ("0.25", "False", "")
    rows = list(standard_csv.DictReader(io.StringIO(csv.render(build_report(with_draw()).rows))))
    assert [row["synthetic"] for row in rows] == ["", "", "", "τ=4"]
    assert rows[-1]["lossless"] == "not comparable"


def test_csv_survives_hostile_text():
    rows = list(standard_csv.DictReader(io.StringIO(csv.render(build_report(hostile_run()).rows))))
    assert len(rows) == 3
    assert all(None not in row and None not in row.values() for row in rows)


# ---- the terminal ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [120, 100, 80])
@pytest.mark.parametrize("run", [ordinary_run(), hostile_run()], ids=["ordinary", "hostile"])
def test_the_terminal_gets_lines_that_fit(run, width):
    text = render_terminal(run, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(character.isprintable() or character == "\n" for character in text)


def test_narrow_terminals_lose_columns_and_no_digits():
    for width in (120, 100, 80):
        text = render_terminal(ordinary_run(), width)
        assert "75.0 [74.0, 76.0]" in text
        assert re.search(r"1\.50x \[1\.\d\d, 1\.\d\d\]", text)
        assert "identical" in text
    assert "of ceiling" in render_terminal(ordinary_run(), 120)


def test_a_narrow_table_of_draws_loses_whole_columns():
    wide, narrow = (render_terminal(with_draw(), width) for width in (120, 70))
    assert "drawn acceptance  drawn τ" in wide
    assert "draw" not in narrow.replace("draws", "").replace("a draw at", "")
    for text in (wide, narrow):
        assert "90.0 [89.0, 91.0]" in text


def test_rich_markup_is_not_obeyed():
    assert "[bold]markup[/bold]" in render_terminal(hostile_run(), 5000)


def test_the_terminal_ends_with_where_the_time_went():
    last = render_terminal(ordinary_run(), 120).splitlines()[-1]
    assert last == (
        "wall time, from the first launch to the last: "
        "100 s, 40.0% loading, 59.0% waiting for tokens, 1.0% the harness itself"
    )


def test_notes_and_failures_name_their_lengths_where_there_are_several():
    samples = [
        sample.model_copy(update={"cached_tokens": 4})
        for length in (64, 128)
        for arm in (PLAIN, FAST)
        for sample in make_samples(arm, [50.0, 51.0, 52.0], max_tokens=length)
        if arm is PLAIN or length == 128
    ]
    text = render_terminal(make_run([PLAIN, FAST], samples, launches=[]), 120)
    assert (
        "- 3 of 3: prompt partly from a cache: plain (64, 128 tokens), ngram-mod k=4 (128 tokens)"
    ) in text
    assert "- coding, ngram-mod k=4 (64 tokens): not measured" in text


# ---- the folder ------------------------------------------------------------------------------


def test_everything_is_written_and_can_be_written_again(tmp_path):
    first = write_reports(build_report(ordinary_run()), tmp_path)
    before = {
        path: path.read_bytes() for path in (first.markdown, first.html, first.csv, *first.figures)
    }
    assert [path.relative_to(tmp_path).as_posix() for path in before] == [
        "report.md",
        "report.html",
        "summary.csv",
        "figures/1-coding.svg",
    ]
    (tmp_path / "figures" / "9-stale.svg").write_text("old")
    assert write_reports(build_report(ordinary_run()), tmp_path) == first
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["1-coding.svg"]


def test_hostile_text_can_be_written(tmp_path):
    written = write_reports(build_report(hostile_run()), tmp_path)
    assert all(path.parent == tmp_path / "figures" for path in written.figures)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md",
        "report.html",
        "summary.csv",
        "figures",
    }
