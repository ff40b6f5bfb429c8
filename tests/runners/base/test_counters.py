from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import Counters, RunnerError
from runners.base.counters import CounterNames, read_counters

LLAMA_CPP = CounterNames(
    drafted="llamacpp:spec_decode_num_draft_tokens_total",
    accepted="llamacpp:spec_decode_num_accepted_tokens_total",
    steps="llamacpp:n_decode_total",
    per_position="llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
)
PAGE = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 512
# HELP llamacpp:n_decode_total Total number of llama_decode() calls
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 78
# HELP llamacpp:spec_decode_num_draft_tokens_total Number of draft tokens
# TYPE llamacpp:spec_decode_num_draft_tokens_total counter
llamacpp:spec_decode_num_draft_tokens_total 1.0e+06
# HELP llamacpp:spec_decode_num_accepted_tokens_total Number of accepted draft tokens
# TYPE llamacpp:spec_decode_num_accepted_tokens_total counter
llamacpp:spec_decode_num_accepted_tokens_total 61
# HELP llamacpp:spec_decode_num_accepted_tokens_per_pos_total By position
# TYPE llamacpp:spec_decode_num_accepted_tokens_per_pos_total counter
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 40
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="2"} 6
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 15
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds 91.2
"""
NAMES = CounterNames(drafted="d_total", accepted="a_total", steps="s_total", per_position="p_total")


def page(drafted: str = "3", extra: str = "") -> str:
    return f"# TYPE d_total counter\nd_total {drafted}\na_total 2\ns_total 1\n{extra}"


def test_llama_cpp_page() -> None:
    assert read_counters(PAGE, LLAMA_CPP) == Counters(1_000_000, 61, 78, (40, 15, 6))


def test_per_position_family_may_be_missing_until_something_was_drafted() -> None:
    lines = [line for line in PAGE.splitlines() if "per_pos" not in line]
    assert read_counters("\n".join(lines), LLAMA_CPP).accepted_per_position == ()


def test_a_declared_family_without_series_is_zero() -> None:
    text = "# TYPE d_total counter\n# HELP a_total accepted\n# TYPE a_total counter\ns_total 4\n"
    assert read_counters(text, NAMES) == Counters(0, 0, 4)


@pytest.mark.parametrize("missing", ["d_total", "a_total", "s_total"])
def test_a_total_that_is_not_exposed_is_named(missing: str) -> None:
    text = "\n".join(line for line in page().splitlines() if missing not in line)
    with pytest.raises(RunnerError, match=f"{missing} is not exposed"):
        read_counters(text, NAMES)


def test_a_name_is_not_found_in_a_longer_or_shorter_one() -> None:
    # Neither 'd' nor 'd_total_created' nor 'xd_total' is 'd_total'.
    text = "d 5\nd_total_created 6\nxd_total 7\na_total 1\ns_total 1\n"
    with pytest.raises(RunnerError, match="d_total is not exposed"):
        read_counters(text, NAMES)


def test_a_counter_named_without_the_suffix() -> None:
    text = "# TYPE d counter\nd 5\n# TYPE a counter\na 4\n# TYPE s counter\ns 3\n"
    assert read_counters(text, CounterNames("d", "a", "s")) == Counters(5, 4, 3, None)


def test_series_of_several_engines_are_added() -> None:
    extra = (
        'd_total{engine="0"} 10\nd_total{engine="1"} 20\n'
        'p_total{engine="0",position="0"} 3\np_total{engine="1",position="0"} 4\n'
    )
    counters = read_counters(page(extra=extra), NAMES)
    assert counters.drafted == 33
    assert counters.accepted_per_position == (7,)


def test_positions_without_a_series_count_zero() -> None:
    assert read_counters(page(extra='p_total{position="2"} 1\n'), NAMES).accepted_per_position == (
        0,
        0,
        1,
    )


@pytest.mark.parametrize("value", ["NaN", "-1", "1.5", "+Inf", "1e400", "1e17"])
def test_a_total_must_be_a_whole_number(value: str) -> None:
    with pytest.raises(RunnerError, match="d_total reads"):
        read_counters(page(value), NAMES)


@pytest.mark.parametrize(
    "line",
    ["d_total", "d_total many", 'd_total{a="b} 1', "d_total{a=b} 1", "d_total{{{{ 1"],
)
def test_a_broken_line_is_said_to_be_broken(line: str) -> None:
    with pytest.raises(RunnerError, match=r"no Prometheus text|not exposed"):
        read_counters(f"{line}\na_total 1\ns_total 1\n", NAMES)


@pytest.mark.parametrize("label", ["-1", "x", "", "9999", "1" * 5000, "٣", "0.5"])
def test_a_position_must_be_a_small_whole_number(label: str) -> None:
    with pytest.raises(RunnerError):
        read_counters(page(extra=f'p_total{{position="{label}"}} 1\n'), NAMES)


def test_broken_lines_about_other_things_do_not_matter() -> None:
    assert read_counters(page(extra="<html> {{{\nother{x 1\n"), NAMES).drafted == 3


def test_a_huge_page_is_refused() -> None:
    with pytest.raises(RunnerError, match="longer than"):
        read_counters(page(extra="#" * (8 * 2**20)), NAMES)


def test_lines_made_to_take_long_are_refused_at_once() -> None:
    hostile = 'd_total{a="' + '\\"' * 400_000 + '"} 1\n'
    before = time.process_time()
    with pytest.raises(RunnerError, match="longer than"):
        read_counters(page(extra=hostile), NAMES)
    # The parser would take about 8 s for it.
    assert time.process_time() - before < 1


def test_a_page_that_is_none() -> None:
    with pytest.raises(RunnerError, match="not exposed"):
        read_counters("<html><body>404</body></html>", NAMES)


count = st.integers(0, 2**40)


@settings(max_examples=50)
@given(count, count, count, st.lists(count, max_size=9))
def test_what_was_written_is_read(
    drafted: int, accepted: int, steps: int, positions: list[int]
) -> None:
    text = f"d_total {float(drafted)!r}\na_total {accepted}\ns_total {steps:.17e}\n" + "".join(
        f'p_total{{position="{position}"}} {value}\n' for position, value in enumerate(positions)
    )
    assert read_counters(text, NAMES) == Counters(drafted, accepted, steps, tuple(positions))


@settings(max_examples=100)
@given(st.text(alphabet='dasp_total{}"=# TYPEcounterposition0123eE+.-\n\\\t ,', max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(RunnerError):
        counters = read_counters(text, NAMES)
        assert min(counters.drafted, counters.accepted, counters.steps) >= 0
