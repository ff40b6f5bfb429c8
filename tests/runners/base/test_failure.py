"""Why a program ended, in the forms in which argparse, click, clap and Python say it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.failure import LONGEST, Manner, first_error, read_end
from runners.sglang.runner import Sglang
from runners.tensorrt_llm.runner import TensorRtLlm
from runners.tgi.runner import Tgi

PLAIN = Manner(re.compile("^> "), vague=("it failed",), plainly={"E7": "the disk is full"})


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], None),
        (["all is well"], None),
        (["sglang serve: error: unrecognized arguments: --x"], "unrecognized arguments: --x"),
        (["serve.py: error: argument --y: invalid int"], "argument --y: invalid int"),
        (["Error: No such option: --x"], "No such option: --x"),
        (["error: unexpected argument '--x' found"], "unexpected argument '--x' found"),
        (["> RuntimeError: no memory", "Error: it failed"], "no memory"),
        (["KeyError: 'a'", "ValueError: b"], "KeyError: 'a'"),
        (["> OSError: E7"], "the disk is full"),
        (["RuntimeError: it failed"], None),
    ],
)
def test_the_first_error_that_says_something(lines: list[str], reason: str | None) -> None:
    assert first_error("\n".join(lines), PLAIN) == reason


def test_each_program_s_own_lines() -> None:
    sglang = (
        "[2026-10-01 12:00:00 TP0] Scheduler hit an exception: ValueError: no draft\n"
        "[2026-10-01 12:00:00] Received sigquit from a child process."
    )
    assert first_error(sglang, Sglang.manner) == "no draft"
    tgi = (
        "2025-12-01T12:00:00.1Z ERROR shard-manager: text_generation_launcher: "
        "RuntimeError: weight not found\nError: ShardCannotStart"
    )
    assert first_error(tgi, Tgi.manner) == "weight not found"
    assert first_error('Error: ArgumentValidation("a < b")', Tgi.manner) == (
        'ArgumentValidation("a < b")'
    )
    tensorrt_llm = "[10/01/2026-12:00:00] [TRT-LLM] [RANK 0] [E] ValueError: no such key: x"
    assert first_error(tensorrt_llm, TensorRtLlm.manner) == "no such key: x"


def test_what_was_said_before_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ValueError: before\n\xff\xfe")
    before = log.stat().st_size
    with log.open("ab") as file:
        file.write(b"ValueError: after\n")
    assert first_error(read_end(log), PLAIN) == "before"
    assert first_error(read_end(log, before), PLAIN) == "after"
    assert read_end(tmp_path / "none") == ""


@given(st.text(max_size=300))
@settings(max_examples=100)
def test_any_text(text: str) -> None:
    for manner in (PLAIN, Sglang.manner, Tgi.manner, TensorRtLlm.manner):
        reason = first_error(text, manner)
        assert reason is None or len(reason) <= LONGEST
