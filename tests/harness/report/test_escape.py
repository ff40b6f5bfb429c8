from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.report import escape
from tests.harness.report.hostile import HOSTILE

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
MARKDOWN_TEXT = st.text(st.sampled_from("ab1 |`*_[]()<>&#+-=.~!\\\n\t:/@$"), max_size=30)


def rendered(markdown: str) -> str:
    return MarkdownIt("gfm-like", {"linkify": False}).render(markdown)


@given(ANY_TEXT)
def test_clean_text_is_one_visible_line(text):
    cleaned = escape.clean(text)
    assert len(cleaned) == len(text)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in cleaned)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()


@given(MARKDOWN_TEXT)
def test_markdown_shows_the_text_itself(text):
    words = " ".join(text.split())
    html = rendered(f"a {escape.markdown(words)} z")
    shown = html.removeprefix("<p>").removesuffix("</p>\n")
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        shown = shown.replace(entity, character)
    assert shown == f"a {words} z"


@given(MARKDOWN_TEXT)
def test_markdown_at_the_start_of_a_block_opens_none(text):
    html = rendered(escape.markdown(text.strip()))
    assert html.count("<") == html.count("<p>") + html.count("</p>")


@given(st.lists(MARKDOWN_TEXT, min_size=1, max_size=3))
def test_a_cell_stays_a_cell(cells):
    lines = ["| h |", "| --- |", *(f"| {escape.markdown(cell)} |" for cell in cells)]
    html = rendered("\n".join(lines))
    assert html.count("<td>") == len(cells)
    assert html.count("<table>") == 1


def test_markdown_makes_no_link_or_mention():
    escaped = escape.markdown("see https://evil.example, WWW.evil.example and @user")
    assert "://" not in escaped
    assert "www." not in escaped.lower()
    assert "@" not in escaped


@pytest.mark.parametrize(
    "text", ["50.0 [49.1, 50.9]", "1.32x", "ngram-mod k=4, p-min=0.5", "differs at 37 (3 of 9)"]
)
def test_plain_words_stay_readable(text):
    assert escape.markdown(text) == text.replace("[", "\\[")


@given(st.text(st.sampled_from("a`~\n\r \x1b"), max_size=40))
def test_no_text_gets_out_of_its_fence(text):
    tokens = MarkdownIt().parse(f"{escape.markdown_fence(text)}\n\nafter")
    assert [token.type for token in tokens] == [
        "fence",
        "paragraph_open",
        "inline",
        "paragraph_close",
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", " =1", "\t=1", "\r\n=1"])
def test_a_spreadsheet_cell_is_no_formula(text):
    assert escape.spreadsheet(text).startswith("'")


def test_other_spreadsheet_cells_stay_as_they_are():
    assert escape.spreadsheet("ngram-mod k=4") == "ngram-mod k=4"


@given(ANY_TEXT)
def test_file_names_are_plain(text):
    name = escape.file_name(text)
    assert name
    assert len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_figures_get_what_their_font_can_draw():
    drawn = escape.figure(HOSTILE)
    assert drawn.isprintable()
    assert max(drawn) <= "\xff"
    assert escape.figure("llama.cpp · ngram-mod, 漢") == "llama.cpp · ngram-mod, ?"
