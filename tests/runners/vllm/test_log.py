"""Excerpts of logs that vLLM 0.32.0 wrote when it failed to start, word for word but for paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.failure import LONGEST, size_of
from runners.vllm.log import method_of, why

LOGS = Path(__file__).with_name("logs")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unknown-flag", "unrecognized arguments: --frobnicate"),
        ("bad-choice", "argument --kv-cache-dtype: invalid choice: 'q4' (choose from 'auto'"),
        ("malformed-json", 'argument --speculative-config/-sc: Value {"method":  cannot be read.'),
        ("port", "[Errno 98] Address already in use"),
        ("unknown-method", "method: Input should be 'ngram', 'medusa'"),
        ("no-mtp", "vLLM finds no MTP heads in the model's config.json"),
        (
            "broken-config",
            "It looks like the config file at '/models/broken/config.json' is not a valid JSON",
        ),
        ("no-weights", "Cannot find any model weights with `/models/weightless`"),
        ("small-kv", "No available memory for the cache blocks. Try increasing `gpu_memory_util"),
        (
            "big-kv",
            "Available memory on node 0 (19.72/23.54 GiB) on kv cache allocation is less than "
            "requested memory for kv (838190.32 GiB). Decrease --kv-cache-memory-bytes",
        ),
        ("too-long", "User-specified max_model_len (999999) is greater than the derived max_model"),
        (
            "unknown-architecture",
            "The checkpoint you are trying to load has model type `frobnicator` but Transformers "
            "does not recognize this architecture.",
        ),
        (
            "other-sizes",
            "Target and draft model should have the same vocabulary size. Target model "
            "vocab_size=2048. Draft model vocab_size=2176.",
        ),
        ("stripped-mtp", "Following weights were not initialized from checkpoint: {'model.layers"),
        (
            "too-many-medusa-heads",
            "Following weights were not initialized from checkpoint: {'blocks.4.layers.1.weight'",
        ),
        ("dies-at-first-request", "shape '[-1, 576]' is invalid for input of size 6144"),
        ("wide-head", "The expanded size of the tensor (192) must match the existing size (128)"),
    ],
)
def test_the_reason_of_a_failed_start(name: str, reason: str) -> None:
    found = why(LOGS / f"{name}.log")
    assert found is not None
    assert found.startswith(reason)
    assert len(found) <= LONGEST
    assert "\n" not in found


def test_a_log_without_errors_tells_of_none() -> None:
    """Its lines hold 'OSError: …' inside a warning."""
    log = LOGS / "serves.log"
    assert "OSError: [Errno 24]" in log.read_text()
    assert why(log) is None


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("serves", ("mtp", 3)),
        ("too-many-medusa-heads", ("medusa", 5)),
        ("small-kv", None),
        ("unknown-flag", None),
    ],
)
def test_the_method_that_it_chose(name: str, chosen: tuple[str, int] | None) -> None:
    assert method_of(LOGS / f"{name}.log") == chosen


def written(folder: Path, *lines: str) -> Path:
    log = folder / "log"
    log.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return log


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        # The way of 0.8, of 0.9's workers, and of 0.10.
        (["ERROR 04-28 10:00:00 [core.py:396] ValueError: too small"], "too small"),
        (
            ["(VllmWorker rank=1 pid=7) ERROR 07-08 10:00:00 [x.py:1] KeyError: 'lm_head'"],
            "KeyError: 'lm_head'",
        ),
        (["(EngineCore_DP0 pid=7) torch.OutOfMemoryError: CUDA"], "OutOfMemoryError: CUDA"),
        (
            ["    assert a == b, c", "           ^^^^^^", "AssertionError"],
            "AssertionError at: assert a == b, c",
        ),
        (["AssertionError"], "AssertionError"),
        (["RuntimeError: Engine core initialization failed. See root cause above."], None),
        (["ValueError: first", "RuntimeError: second"], "first"),
        (
            [
                "ValueError: first",
                "The above exception was the direct cause of the following exception:",
                "RuntimeError: Engine core initialization failed.",
                "KeyError: 'third'",
            ],
            "first",
        ),
    ],
)
def test_other_layouts_and_vague_errors(
    tmp_path: Path, lines: list[str], reason: str | None
) -> None:
    assert why(written(tmp_path, *lines)) == reason


def test_only_what_was_written_since(tmp_path: Path) -> None:
    log = written(tmp_path, "ValueError: of the start")
    since = size_of(log)
    assert why(log, since) is None
    with log.open("a") as file:
        file.write("ValueError: of the request\n")
    assert why(log, since) == "of the request"
    assert why(tmp_path / "none") is None
    assert size_of(tmp_path / "none") == 0


LINES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "ValidationError: 1 validation error",
            "ValueError:",
            "During handling of the above exception, another exception occurred:",
            "x: error: y",
        ]
    ),
)


@given(st.lists(LINES))
@settings(max_examples=60)
def test_any_log_can_be_read(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    log = tmp_path_factory.getbasetemp() / "any"
    log.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    found = why(log)
    assert found is None or len(found) <= LONGEST
    method_of(log)
