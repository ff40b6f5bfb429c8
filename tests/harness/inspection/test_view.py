from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.inspection.inspection import inspect
from harness.inspection.room import Memory
from harness.inspection.view import render
from tests.harness.models.gguf_files import dense, write
from tests.models.export import Family

LARGE = Memory(name="[red]GPU[/red]\x1b[2J", bytes=24 << 30, is_free=False)
SMALL = Memory(name="main memory", bytes=1 << 20, is_free=True)


def printed(path: Path, *, width: int = 80, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(render(inspect(path, memories=(LARGE, SMALL), **options)))  # type: ignore[arg-type]
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_exact_figures_are_there(family: Family) -> None:
    text = printed(family.qwen35_mtp, width=120)
    facts = inspect(family.qwen35_mtp, memories=()).facts
    assert f"{facts.active_bytes:,} bytes of weights read per token" in text
    assert "768 bytes for each further token of context" in text
    assert "present: 1 layer" in text
    assert "MTP layers: read only when they draft" in text
    assert "recurrent state" in text


def test_what_fits_and_what_does_not(family: Family) -> None:
    text = printed(family.qwen3, draft=family.draft, width=120)
    assert "GPU[/red]\\x1b[2J: fits, " in text
    assert "in all, other programs' share not known" in text
    assert "main memory: does not fit, " in text
    assert "works       yes" in text


def test_a_draft_that_does_not_fit_says_why(family: Family) -> None:
    text = printed(family.qwen3, draft=family.other_vocabulary, width=120)
    assert "works       no: other-vocabulary.gguf has another vocabulary" in text


def test_what_a_drafter_reads(family: Family) -> None:
    eagle = inspect(family.qwen3_hf, draft=family.eagle3_hf, memories=())
    # The EAGLE-3 head works with its target's output matrix.
    assert eagle.draft is not None
    assert eagle.draft.drafting_bytes == eagle.draft.facts.active_bytes + eagle.facts.output_bytes
    assert eagle.facts.output_bytes > 0
    assert "for each drafted token" in printed(family.qwen3_hf, draft=family.eagle3_hf)
    shown = printed(family.qwen3_hf, draft=family.medusa_hf)
    assert "for each draft, whatever its length" in shown
    assert "its cache" not in shown


def test_stripped_heads(family: Family) -> None:
    assert "stripped: 1 layer declared, none of them there" in printed(family.stripped_mtp)


@pytest.mark.parametrize("name", ["[bold]m.gguf", "a\x1b[31mb.gguf"])
def test_hostile_texts_stay_text(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name, dense(), texts={"general.name": "[red]evil[/red]\x1b]0;title\x07"}
    )
    text = printed(path)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]evil[/red]\\x1b]0;title" in text
    assert name.replace("\x1b", "\\x1b") in text


def test_it_keeps_to_a_narrow_terminal(family: Family) -> None:
    for line in printed(family.qwen35_mtp, width=60).splitlines():
        assert len(line) <= 60
