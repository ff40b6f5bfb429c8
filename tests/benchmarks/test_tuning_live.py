"""The tunings of real runners that docs/tune.md tells of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from benchmarks.tuning import PAGE, with_table
from benchmarks.tuning_live import (
    BEGIN,
    CASES,
    END,
    HEAD,
    Held,
    row,
    rows_in,
    table,
    widened,
)
from tests.harness.builders import MACHINE

HELD = Held(
    answer={"outcome": "faster than plain", "setting": "mtp k=3"},
    settings=6,
    picked=1.18,
    best=1.24,
    best_low=1.17,
    best_high=1.31,
    best_name="mtp k=4",
    requests=(40, 100),
    seconds=(90.0, 300.0),
    machine=MACHINE.model_copy(update={"cpu": "A processor", "threads": 4}),
)


def rows_of(text: str) -> list[dict[str, str]]:
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    )
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_row_says_what_came_of_both() -> None:
    (told,) = rows_of(text := table([row("a case", HELD)], HELD.machine))
    assert tuple(told) == HEAD
    assert tuple(told.values()) == (
        *("a case", "6", "faster than plain", "mtp k=3", "1.18x"),
        *(r"mtp k=4 1.24x \[1.17, 1.31]", "yes", "40 of 100, 40%", "90 of 300, 30%"),
    )
    assert text.endswith("Measured on: A processor, 4 threads, of which the model had one.")


@pytest.mark.parametrize(("picked", "within"), [(1.16, "no"), (1.17, "yes"), (1.4, "yes")])
def test_a_pick_is_within_the_interval_or_above(picked: float, within: str) -> None:
    (told,) = rows_of(table([row("a case", replace(HELD, picked=picked))], HELD.machine))
    assert told["within"] == within


def test_a_case_keeps_its_row_while_another_is_measured() -> None:
    lines = {name: row(name, HELD) for name in ("one", "another")}
    page = with_table(f"{BEGIN}{END}", table(lines.values(), HELD.machine), BEGIN, END)
    assert rows_in(page).items() >= lines.items()


def test_the_committed_table_is_of_these_cases_and_adds_up() -> None:
    page = PAGE.read_text("utf-8")
    rows = rows_of(page[page.index(BEGIN) : page.index(END)])
    assert [found["case"] for found in rows] == [case.name for case in CASES]
    for found in rows:
        assert tuple(found) == HEAD
        low = float(found["best of the sweep [95%]"].partition("[")[2].partition(",")[0])
        # Two places cannot tell a pick on the edge.
        if (picked := float(found["the pick in the sweep"].rstrip("x"))) != low:
            assert found["within"] == ("yes" if picked > low else "no")
        for column in ("requests", "seconds"):
            counts, share = found[column].split(", ")
            tuning, sweep = map(int, counts.split(" of "))
            assert int(share.rstrip("%")) == pytest.approx(100 * tuning / sweep, abs=1)


def test_a_widened_model_holds_the_same_values(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1)
    writer = gguf.GGUFWriter(tmp_path / "narrow.gguf", "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_context_length(128)
    writer.add_tensor("output.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    wide = gguf.GGUFReader(widened(tmp_path / "narrow.gguf", tmp_path / "wide.gguf"))
    (tensor,) = wide.tensors
    assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
    expected = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_1)
    assert np.array_equal(tensor.data, expected)
    assert wide.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    assert wide.fields["llama.context_length"].contents() == 128
