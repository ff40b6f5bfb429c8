"""How long drafts can be, by what the model files say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compatibility import Files
from harness.draft_length import Length, length_of
from harness.models.read import read_model_file
from runners.base.support import LengthLimit, MethodSupport
from runners.llama_cpp.methods import METHODS
from tests.harness.builders import make_model_file
from tests.models.export import Family


def length(methods: str, asked: int, files: Files) -> Length:
    supports = {part: METHODS[part].support(part) for part in methods.split("+")}
    return length_of(supports, asked, files)


def mtp(heads: int) -> Files:
    return Files(make_model_file("m.gguf", mtp_layers=heads, mtp_declared=heads))


def block(size: int, *, markov: bool = False, anchor: bool = True) -> Files:
    drafter = {"block_size": size, "markov_head": markov, "anchor_first": anchor}
    return Files(make_model_file("m.gguf"), make_model_file("d.gguf", drafter=drafter))


@pytest.mark.parametrize(
    ("methods", "asked", "files", "tokens"),
    [
        # A single head is applied again and again; of several, each drafts one token.
        ("mtp", 9, mtp(1), 9),
        ("mtp", 9, mtp(3), 3),
        ("mtp", 2, mtp(3), 2),
        ("dflash", 30, block(16), 15),
        ("dspark", 30, block(16, markov=True), 16),
        ("dspark", 30, block(16, markov=True, anchor=False), 15),
        ("ngram-cache", 2, mtp(1), 8),
        ("ngram-cache", 30, mtp(1), 8),
        # In a chain the length stays where some part can use it.
        ("ngram-mod+mtp", 9, mtp(3), 9),
        ("ngram-cache+mtp", 9, mtp(3), 8),
        ("ngram-cache+mtp", 2, mtp(3), 2),
        ("ngram-mod", 9, mtp(3), 9),
    ],
)
def test_draft_lengths(methods: str, asked: int, files: Files, tokens: int) -> None:
    found = length(methods, asked, files)
    assert found.tokens == tokens
    assert (found.limit is None) == (tokens == asked)


def test_heads_of_a_sidecar_limit_the_draft() -> None:
    files = Files(
        make_model_file("m.gguf", mtp_layers=4),
        make_model_file("d.gguf", mtp_only=True, mtp_layers=2),
    )
    assert length("mtp", 9, files).tokens == 2


@given(asked=st.integers(1, 64), heads=st.integers(0, 8))
def test_no_limit_makes_a_draft_longer(asked: int, heads: int) -> None:
    found = length("mtp", asked, mtp(heads))
    assert found.tokens == (min(asked, heads) if heads > 1 else asked)


def test_medusa_heads_limit_the_draft(family: Family) -> None:
    files = Files(read_model_file(family.qwen3_hf), read_model_file(family.medusa_hf))
    support = MethodSupport("medusa", supported=True, limit=LengthLimit.MEDUSA_HEADS)
    assert length_of({"medusa": support}, 2, files) == Length(2)
    assert length_of({"medusa": support}, 5, files) == Length(3, LengthLimit.MEDUSA_HEADS.value)
