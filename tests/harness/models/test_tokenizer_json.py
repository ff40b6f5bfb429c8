"""The tokens of two folders, compared by id."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.read import read_model_file
from harness.models.tokenizer_json import MOST_DIFFERENCE, token_difference, tokens_of
from harness.models.vocabulary import difference
from tests.models.export import Family

TEXTS = ("a", "b", "ab", "c")


def write(path: Path, texts: object, marks: object = ()) -> Path:
    model = dict.fromkeys(()) if texts is None else {"type": "BPE", "vocab": texts}
    path.write_text(json.dumps({"model": model, "added_tokens": marks}))
    return path


def bpe(path: Path, *texts: str, marks: tuple[str, ...] = ()) -> Path:
    """Marks follow the texts."""
    added = [{"id": len(texts) + i, "content": mark} for i, mark in enumerate(marks)]
    return write(path, {text: i for i, text in enumerate(texts)}, added)


def test_the_family_shares_its_tokens(family: Family) -> None:
    target = read_model_file(family.qwen3_hf).vocabulary
    draft = read_model_file(family.draft_hf).vocabulary
    assert difference(target, draft) is None
    assert target.tokenizer is not None
    tokens = tokens_of(target.tokenizer)
    assert tokens is not None
    assert len(tokens.texts) == target.size == 2048
    assert tokens.texts[1] == "<|im_start|>"
    other = read_model_file(family.other_vocabulary_hf).vocabulary
    said = str(difference(target, other))
    assert said.startswith("token 3 is ")
    assert said.endswith(f"the target's '{tokens.texts[3]}'")


def test_the_first_other_token_is_shown(tmp_path: Path) -> None:
    ours, theirs = bpe(tmp_path / "a", *TEXTS), bpe(tmp_path / "b", "a", "b", "c", "\x1b[31m")
    assert token_difference(ours, ours) is None
    assert token_difference(ours, theirs) == "token 2 is 'c', the target's 'ab'"
    assert token_difference(bpe(tmp_path / "c", "a", "b", "c", "d"), theirs) == (
        "token 3 is '\\x1b[31m', the target's 'd'"
    )


def test_marks_may_have_other_names(tmp_path: Path) -> None:
    ours = bpe(tmp_path / "a", *TEXTS, marks=("<|im_end|>",))
    assert token_difference(ours, bpe(tmp_path / "b", *TEXTS, marks=("<end>", "<more>"))) is None
    # But a text is no mark.
    assert "token 4" in str(token_difference(ours, bpe(tmp_path / "c", *TEXTS, "d")))


def test_some_tokens_may_be_missing(tmp_path: Path) -> None:
    texts = [f"t{i}" for i in range(MOST_DIFFERENCE + 2)]
    ours = bpe(tmp_path / "a", *texts)
    assert token_difference(ours, bpe(tmp_path / "b", *texts[:2])) is None
    said = token_difference(ours, bpe(tmp_path / "c", *texts[:1]))
    assert said == f"it has 1 tokens, the target {len(texts)}: more than 128 apart"


def test_unigram(tmp_path: Path) -> None:
    ours = write(tmp_path / "a", [["<unk>", 0.0], ["a", -1.5]])
    assert token_difference(ours, write(tmp_path / "b", [["<unk>", 0.0], ["a", -9]])) is None
    assert token_difference(ours, write(tmp_path / "c", [["<unk>", 0.0], ["b", -1.5]])) == (
        "token 1 is 'b', the target's 'a'"
    )


@pytest.mark.parametrize(
    "content", ["", "[]", '{"model": []}', '{"model": {"vocab": 3}}', "[" * 9999]
)
def test_nothing_is_claimed_of_what_is_not_understood(tmp_path: Path, content: str) -> None:
    strange = tmp_path / "strange"
    strange.write_text(content)
    assert tokens_of(strange) is None
    ours = bpe(tmp_path / "a", *TEXTS)
    assert token_difference(ours, strange) is token_difference(strange, ours) is None


def test_a_folder_without_the_file(family: Family) -> None:
    eagle = read_model_file(family.eagle_hf).vocabulary
    assert eagle.tokenizer is None
    assert difference(read_model_file(family.qwen3_hf).vocabulary, eagle) is None


@given(st.permutations(range(8)))
def test_any_other_order_is_found(order: list[int]) -> None:
    texts = [f"t{i}" for i in range(8)]
    with tempfile.TemporaryDirectory() as name:
        ours = bpe(Path(name) / "a", *texts)
        theirs = bpe(Path(name) / "b", *(texts[i] for i in order))
        said = token_difference(ours, theirs)
    moved = [i for i, place in enumerate(order) if place != i]
    assert (said is None) == (not moved)
    if moved:
        assert str(said).startswith(f"token {moved[0]} is 't{order[moved[0]]}'")
