from __future__ import annotations

from pathlib import Path

import pytest

from runners.openvino.words import in_words, unread
from tests.live.half_precision import write_half
from tests.models.export import Family


def test_what_a_file_holds_that_is_not_read(family: Family, tmp_path: Path) -> None:
    said = unread(str(family.qwen35_mtp))
    assert said.startswith(", whose architecture is qwen35 (it reads llama, qwen2, qwen3)")
    assert "whose weights are F32 (it reads F16," in said
    assert "architecture" not in unread(str(family.qwen3))
    assert unread(str(write_half(family.qwen3, tmp_path / "half.gguf"))) == ""
    assert unread(str(tmp_path / "none.gguf")) == ""


def test_failure_is_one_line_with_the_cause(tmp_path: Path) -> None:
    model = str(tmp_path / "m.gguf")
    with pytest.raises(RuntimeError) as caught, in_words(model):
        raise IndexError("Exception from gguf.cpp:316:\n the cause \n\n")
    assert str(caught.value) == f"OpenVINO GenAI cannot load {model}: the cause"
    with pytest.raises(RuntimeError, match="MemoryError"), in_words(model):
        raise MemoryError
