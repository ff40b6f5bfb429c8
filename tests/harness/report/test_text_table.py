"""Tables on terminals of any width."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.report.tables import Column, Table
from harness.report.text_table import LOG_WIDTH, console_for_text, text_table

NAME = Column("figure", "left")
CHANGE = Column("change")
VERDICT = Column("verdict", "left")
SEEN = Column("seen from")
TABLE = Table(
    (NAME, CHANGE, VERDICT, SEEN),
    (
        ("acceptance length", "-12.7% [-13.9%, -11.4%]", "no regression seen", "17.4%"),
        ("TTFT", "–", "worse, within the threshold", "–"),
    ),
)


def shown(width: int, content: Table = TABLE) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(text_table(content, width, (SEEN, CHANGE)))
    return file.getvalue().splitlines()


def test_a_wide_terminal_has_a_line_a_row() -> None:
    lines = shown(100)
    assert len(lines) == 4
    assert "-12.7% [-13.9%, -11.4%]  no regression seen" in lines[2]


@pytest.mark.parametrize("width", [55, 60, 65, 75])
def test_a_narrow_one_parts_no_word_and_no_interval(width: int) -> None:
    lines = shown(width)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for whole in ("acceptance", "[-13.9%, -11.4%]", "regression", "threshold", "17.4%"):
        assert whole in text


def test_columns_are_given_up_in_order() -> None:
    text = "\n".join(shown(40))
    assert "seen" not in text.splitlines()[0]
    assert "[-13.9%, -11.4%]" in text
    assert "change" not in "\n".join(shown(30))


def test_a_control_character_of_a_name_reaches_no_terminal() -> None:
    content = Table((NAME,), (("a\x1b[31mb\x07",),))
    assert not any(c in "".join(shown(40, content)) for c in "\x1b\x07")


@settings(max_examples=50)
@given(
    st.lists(st.tuples(*[st.text("ab [],%", max_size=60)] * 4), max_size=3),
    st.integers(20, 200),
)
def test_any_cells_fit_or_are_as_narrow_as_can_be(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    least = 24 + 2 + 24
    lines = shown(width, Table(TABLE.columns, tuple(rows)))
    assert all(len(line) <= max(width, least) for line in lines)


def test_a_pipe_is_no_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_for_text().width == LOG_WIDTH
