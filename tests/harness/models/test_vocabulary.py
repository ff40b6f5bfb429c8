from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFEndian
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.models.errors import ModelFileError
from harness.models.read import read_model_file
from harness.models.vocabulary import Vocabulary, difference
from tests.harness.models.gguf_files import dense, write

TOKENS = [f"<{n}>" for n in range(5)] + ["the", "Ġof", "é", "日本", "end"]


def vocabulary(
    file: Path,
    tokens: list[str] | None = None,
    *,
    model: str | None = "gpt2",
    pre: str | None = "qwen2",
    **options: Any,
) -> Vocabulary:
    said = {"tokenizer.ggml.model": model, "tokenizer.ggml.pre": pre}
    write(
        file,
        dense(1),
        texts={key: text for key, text in said.items() if text is not None},
        arrays={"tokenizer.ggml.tokens": TOKENS if tokens is None else tokens},
        **options,
    )
    return read_model_file(file).vocabulary


@pytest.fixture
def target(tmp_path: Path) -> Vocabulary:
    return vocabulary(tmp_path / "target.gguf")


def test_the_same_tokens_may_draft(target: Vocabulary, tmp_path: Path) -> None:
    assert difference(target, vocabulary(tmp_path / "d.gguf")) is None


def test_the_first_five_texts_may_differ(target: Vocabulary, tmp_path: Path) -> None:
    other = ["", "much longer than before", "<b>", "<c>", "<d>", *TOKENS[5:]]
    assert difference(target, vocabulary(tmp_path / "d.gguf", other)) is None


def test_a_text_that_differs_is_shown_with_its_id(target: Vocabulary, tmp_path: Path) -> None:
    other = [*TOKENS[:7], "\x1b[31m" + "x" * 50, *TOKENS[8:]]
    found = difference(target, vocabulary(tmp_path / "d.gguf", other))
    assert found == "token 7 is '\\x1b[31m" + "x" * 18 + "…', the target's 'é'"


def test_sizes_up_to_128_apart(target: Vocabulary, tmp_path: Path) -> None:
    more = TOKENS + [f"[{n}]" for n in range(129)]
    near = vocabulary(tmp_path / "near.gguf", more[:-1])
    far = vocabulary(tmp_path / "far.gguf", more)
    assert difference(target, near) is None
    assert difference(near, target) is None
    assert difference(target, far) == "it has 139 tokens, the target 10: more than 128 apart"


def test_types_differ(target: Vocabulary, tmp_path: Path) -> None:
    draft = vocabulary(tmp_path / "d.gguf", model="llama", pre=None)
    assert difference(target, draft) == "it is of type SPM, the target's of type BPE"


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"flags": {"tokenizer.ggml.add_bos_token": True}}, {}, "the target adds the BOS token"),
        ({}, {"flags": {"tokenizer.ggml.add_eos_token": True}}, "it adds the EOS token to a text"),
        ({}, {"pre": "llama-bpe"}, "it adds the BOS token to a text, the target does not"),
        # What a pre-tokenizer that is not listed does is not known, so nothing is claimed.
        ({}, {"pre": "of-next-year"}, None),
        ({"pre": "of-next-year"}, {"pre": "of-last-year"}, None),
        ({"model": "llama"}, {"model": "llama"}, None),
        (
            {"model": "llama"},
            {"model": "llama", "integers": {"tokenizer.ggml.bos_token_id": 7}},
            "its BOS token is 7, the target's 1",
        ),
        # Which id is the BOS token matters only where one is added.
        ({}, {"integers": {"tokenizer.ggml.bos_token_id": 7}}, None),
        ({"model": "gemma4"}, {"pre": "gemma4"}, None),
        ({"model": "from-the-future"}, {"model": "llama"}, None),
        ({"model": None}, {}, None),
    ],
)
def test_what_is_added_to_a_text(
    tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any], words: str | None
) -> None:
    found = difference(
        vocabulary(tmp_path / "t.gguf", **ours), vocabulary(tmp_path / "d.gguf", **theirs)
    )
    assert found is None if words is None else words in str(found)


def test_a_file_without_tokens_is_held_against_nothing(target: Vocabulary, tmp_path: Path) -> None:
    draft = read_model_file(write(tmp_path / "d.gguf", dense(1))).vocabulary
    assert difference(target, draft) is None


def test_orders_of_bytes_are_no_difference(target: Vocabulary, tmp_path: Path) -> None:
    big = vocabulary(tmp_path / "big.gguf", endian=GGUFEndian.BIG)
    assert difference(target, big) is None
    other = vocabulary(tmp_path / "other.gguf", [*TOKENS[:-1], "fin"], endian=GGUFEndian.BIG)
    assert difference(target, other) == "token 9 is 'fin', the target's 'end'"


def test_texts_are_compared_as_llama_cpp_does(target: Vocabulary, tmp_path: Path) -> None:
    ours = vocabulary(tmp_path / "t.gguf", [*TOKENS[:5], "a\0b", ""])
    theirs = vocabulary(tmp_path / "d.gguf", [*TOKENS[:5], "a\0c", "[EMPTY_6]"])
    assert difference(ours, theirs) is None


def test_a_file_that_is_gone(target: Vocabulary, tmp_path: Path) -> None:
    draft = vocabulary(tmp_path / "d.gguf")
    draft.path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        difference(target, draft)


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=9)


@settings(max_examples=40, deadline=None)
@given(ours=TEXTS, theirs=TEXTS, alike=st.booleans())
def test_only_what_follows_the_first_five_counts(
    tmp_path_factory: pytest.TempPathFactory, ours: list[str], theirs: list[str], alike: bool
) -> None:
    folder = tmp_path_factory.mktemp("vocabularies")
    theirs = [*theirs, *ours[len(theirs) :]] if alike else theirs
    # The gguf package cannot write an empty array.
    ours, theirs = ours or ["a"], theirs or ["a"]
    found = difference(vocabulary(folder / "t.gguf", ours), vocabulary(folder / "d.gguf", theirs))

    def seen(number: int, text: str) -> str:
        return text.partition("\0")[0] if text else f"[EMPTY_{number}]"

    pairs = list(enumerate(zip(ours, theirs, strict=False)))[5:]
    differing = [n for n, (our, their) in pairs if seen(n, our) != seen(n, their)]
    if differing:
        assert str(found).startswith(f"token {differing[0]} is ")
    else:
        assert found is None
