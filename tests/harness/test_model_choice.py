"""Which packaging of a model a runner takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model_choice import DRAFT_MODEL, Choice, choose, words_of
from harness.models.shelf import Shelf
from harness.packagings import Packagings
from runners.base.contract import Runner
from runners.base.packaging import Packaging
from tests.harness.builders import make_model_file
from tests.models.export import Family

GGUF, HF, MLX = Packaging


@dataclass
class Reading:
    """As much of a runner as is asked here."""

    packagings: tuple[Packaging, ...]
    name: str = "vllm"


def reading(*packagings: Packaging) -> Runner:
    return cast("Runner", Reading(packagings))


PATHS = {packaging: Path(f"/models/{packaging.value}") for packaging in Packaging}


def table(*packagings: Packaging) -> Packagings:
    return Packagings.model_validate({p.value: PATHS[p] for p in packagings})


SOME = st.lists(st.sampled_from(list(Packaging)), unique=True)


@given(read=SOME, given_ones=SOME.filter(bool))
def test_the_first_that_the_runner_reads_and_the_model_has(
    read: list[Packaging], given_ones: list[Packaging]
) -> None:
    choice = choose(table(*given_ones), reading(*read), Shelf(make_model_file))
    common = [packaging for packaging in read if packaging in given_ones]
    if common:
        assert choice == Choice(str(PATHS[common[0]]))
    elif read:
        # It still names the model.
        assert choice.path in {str(PATHS[packaging]) for packaging in given_ones}
        assert all(packaging.words in str(choice.reason) for packaging in (*read, *given_ones))
    else:
        assert choice.reason is None


def test_no_model_is_no_choice() -> None:
    assert choose(None, reading(HF), Shelf()) == Choice(None)


@pytest.mark.parametrize(
    ("given_ones", "words"),
    [
        ((GGUF,), "a GGUF file only"),
        ((GGUF, MLX), "a GGUF file and an MLX folder"),
    ],
)
def test_a_packaging_that_is_not_given(given_ones: tuple[Packaging, ...], words: str) -> None:
    shelf = Shelf(make_model_file)
    assert choose(table(*given_ones), reading(HF), shelf).reason == (
        f"vllm reads a Hugging Face folder, and the model is given as {words}"
    )
    reason = choose(table(*given_ones), reading(HF), shelf, DRAFT_MODEL).reason
    assert "and the draft model is given as" in str(reason)


def test_real_files_and_folders(family: Family, tmp_path: Path) -> None:
    shelf = Shelf()
    both = Packagings(gguf=family.qwen3, hf=family.qwen3_hf)
    assert choose(both, reading(MLX, HF), shelf) == Choice(str(family.qwen3_hf))
    assert choose(both, reading(GGUF, HF), shelf) == Choice(str(family.qwen3))
    assert choose(family.qwen3, reading(GGUF), shelf) == Choice(str(family.qwen3))
    assert choose(family.qwen3, reading(MLX, HF), shelf).reason == (
        f"vllm reads an MLX folder or a Hugging Face folder, and {family.qwen3} is a GGUF file"
    )
    # What lies there counts, not what the suite calls it.
    swapped = Packagings(gguf=family.qwen3_hf)
    assert "is a Hugging Face folder" in str(choose(swapped, reading(GGUF), shelf).reason)
    for model in (tmp_path / "none", Packagings(hf=tmp_path / "none", gguf=family.qwen3)):
        choice = choose(model, reading(HF, GGUF), shelf)
        assert choice == Choice(str(tmp_path / "none"), f"{tmp_path / 'none'} does not exist")
    assert choose(tmp_path / "none", reading(), shelf) == Choice(str(tmp_path / "none"))


def test_a_name_is_shown_harmless(tmp_path: Path, family: Family) -> None:
    link = tmp_path / "\x1b[31mred"
    link.symlink_to(family.qwen3_hf)
    assert "\x1b" not in str(choose(link, reading(GGUF), Shelf()).reason)


def test_words_of_several() -> None:
    assert words_of([GGUF], "or") == "a GGUF file"
    assert words_of([GGUF, HF, MLX], "or") == "a GGUF file, a Hugging Face folder or an MLX folder"
