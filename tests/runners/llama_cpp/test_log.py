from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.llama_cpp.log import read_drafts, why


def written(folder: Path, *lines: str) -> Path:
    log = folder / "log"
    log.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return log


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["0.00.884.097 E load: no file", "0.00.884.564 E srv main: exiting"], "load: no file"),
        (["E load: no file"], "load: no file"),
        (["error: invalid argument: --bogus"], "error: invalid argument: --bogus"),
        (
            ['error while handling argument "--spec-type": unknown type: x', "", "usage:", "-a"],
            'error while handling argument "--spec-type": unknown type: x',
        ),
        (
            ["0.1 I all is well", "terminate called after throwing"],
            "terminate called after throwing",
        ),
        (["0.1 I all is well"], None),
    ],
)
def test_why(tmp_path: Path, lines: list[str], reason: str | None) -> None:
    assert why(written(tmp_path, *lines)) == reason


def test_acceptance_of_every_generation_adds_up(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        "0.1 I slot print_timing: draft acceptance = 0.75000 (    3 accepted /     4 generated), "
        "mean len =  2.50",
        "slot print_timing: draft acceptance rate = 0.50000 (  121 accepted /   242 generated)",
    )
    said = read_drafts(log)
    assert said.acceptance == (124, 246)
    assert (said.remark, said.limit, said.other_method) == (None, None, None)


def test_complaints_and_limits(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        "0.1 W srv  main: no API key is set",
        "0.1 E srv    load_model: failed to initialize speculative decoding context: too small",
        "0.1 E srv    load_model: failed to initialize speculative decoding context: too small",
        "0.1 W dflash: draft size 9 exceeds the trained block size 8 -- clamping to 7",
        "0.1 W x: draft model is specified but 'draft' speculative type is not explicitly "
        "enabled - enabling it",
    )
    said = read_drafts(log)
    assert said.acceptance is None
    assert said.limit == 7
    assert len(said.complaints) == 3
    assert said.remark is not None
    assert said.remark.startswith("srv load_model: failed to initialize speculative")
    assert said.other_method is not None
    assert read_drafts(tmp_path / "none").remark is None


@given(st.lists(st.one_of(st.text(max_size=80), st.just("draft acceptance = nan (1 accepted / "))))
@settings(max_examples=50)
def test_any_log_can_be_read(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    log = tmp_path_factory.getbasetemp() / "any"
    log.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    read_drafts(log)
    why(log)


def test_a_hostile_log_fills_no_memory_and_breaks_no_review(tmp_path: Path) -> None:
    many = [f"0.1 W draft {number}" for number in range(100)]
    digits = "9" * 5000
    log = written(
        tmp_path,
        *many,
        f"draft acceptance = 0.5 ( {digits} accepted / {digits} generated)",
        f"clamping to {digits}",
        "0.1 W speculative type is not explicitly enabled - enabling it",
    )
    said = read_drafts(log)
    assert said.complaints[:8] == tuple(f"draft {number}" for number in range(8))
    assert len(said.complaints) == 9
    assert said.other_method is not None
    assert (said.acceptance, said.limit) == (None, None)
