from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.calculator import bandwidths
from harness.calculator.calculator import Answer, CalculatorError, Drafting, Question, answer
from harness.calculator.plot import save_plot
from harness.calculator.view import render
from harness.machine.bandwidth import Bandwidth, BandwidthError
from harness.machine.fingerprint import Gpu, Machine
from harness.theory.acceptance import expected_tau
from tests.harness.models.gguf_files import (
    EMBEDDING,
    HEAD,
    KV_HEADS,
    VOCABULARY,
    WIDTH,
    Shape,
    dense,
    heads_alone,
    size_of,
    total,
    with_mtp,
    write,
)

KV = 2 * KV_HEADS * 2 * HEAD * 2
"""Bytes of one token in the two layers of `dense` at F16."""
MTP = (Drafting.MTP, (1, 2, 3), (0.5,))

BANDWIDTH = Bandwidth(bytes_per_s=20e9, readings=(19e9, 20e9), threads=2, buffer_bytes=1 << 30)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without a GPU whose memory reads at 20 GB/s, instead of this one."""
    here = Machine(
        system="Linux 6.1 x86_64",
        python="CPython 3.11",
        cpu="A processor",
        cores=2,
        threads=2,
        last_level_cache_bytes=1 << 20,
        memory_bytes=8 << 30,
    )
    monkeypatch.setattr(bandwidths, "read_machine", lambda: here)
    monkeypatch.setattr(bandwidths, "measure_read_bandwidth", lambda: BANDWIDTH)
    return here


def text_of(found: Answer) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(render(found))
    return out.getvalue()


def _stripped(found: Answer) -> list[str]:
    return [line.rstrip() for line in text_of(found).splitlines()]


def speculating(**more: object) -> Question:
    fields: dict[str, object] = {
        "read_bytes": 14e9,
        "bandwidth": 1008e9,
        "drafting": Drafting.NGRAM,
        "draft_tokens": (1, 2, 4),
        "acceptance": (0.65,),
    }
    return Question(**(fields | more))  # type: ignore[arg-type]


def model(folder: Path, tensors: dict[str, Shape], name: str = "m.gguf", **integers: int) -> Path:
    return write(folder / name, tensors, integers=integers)


def test_14_gb_on_an_rtx_4090() -> None:
    found = answer(Question(read_bytes=14e9, hardware="RTX 4090"))
    (row,) = found.rows
    assert row.tokens_per_s == pytest.approx(72)
    assert (row.depth, row.draft_tokens, row.bytes_per_step, row.best) == (0, 0, 14e9, False)
    assert row.acceptance_length == row.speedup == row.break_even_length == 1
    (source,) = found.bandwidths
    assert (source.hardware, source.kind, source.used) == ("GeForce RTX 4090", "nominal", True)
    assert Answer.model_validate_json(found.model_dump_json()) == found


def test_a_given_bandwidth_goes_before_the_hardwares_and_both_are_shown() -> None:
    found = answer(Question(read_bytes=10e9, hardware="4090", bandwidth=900e9))
    assert found.rows[0].tokens_per_s == pytest.approx(90)
    assert [(s.kind, s.used) for s in found.bandwidths] == [("given", True), ("nominal", False)]
    shown = text_of(found)
    assert "900 GB/s given" in shown
    assert "1008 GB/s nominal" in shown


def test_this_machine_is_measured_where_none_is_named(machine: Machine) -> None:
    found = answer(Question(read_bytes=1e9))
    assert found.rows[0].tokens_per_s == pytest.approx(20)
    (source,) = found.bandwidths
    assert (source.kind, source.hardware, source.used) == ("measured", "A processor", True)
    assert found.notes == ()


def test_a_gpu_goes_before_the_processor_and_both_are_shown(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(name="G", memory_bytes=1 << 30, bandwidth_bytes_per_s=500e9, bandwidth_source="NVML")
    with_gpu = machine.model_copy(update={"gpus": (gpu,)})
    monkeypatch.setattr(bandwidths, "read_machine", lambda: with_gpu)
    found = answer(Question(read_bytes=5e9))
    assert found.rows[0].tokens_per_s == pytest.approx(100)
    kinds = [(s.kind, s.hardware, s.used) for s in found.bandwidths]
    assert kinds == [("nominal", "G", True), ("measured", "A processor", False)]
    assert any("do not fit" in note for note in found.notes)


def test_of_several_gpus_the_fastest_counts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = (
        Gpu(name="G", memory_bytes=24 << 30, bandwidth_bytes_per_s=rate) for rate in (5e11, 1e12)
    )
    with_gpus = machine.model_copy(update={"gpus": (slow, fast)})
    monkeypatch.setattr(bandwidths, "read_machine", lambda: with_gpus)
    found = answer(Question(read_bytes=5e9))
    assert [source.used for source in found.bandwidths] == [False, True, False]
    assert found.rows[0].tokens_per_s == pytest.approx(200)


def test_a_memory_that_cannot_be_measured_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Bandwidth:
        raise BandwidthError("too little free memory")

    monkeypatch.setattr(bandwidths, "measure_read_bandwidth", fails)
    with pytest.raises(CalculatorError, match=r"too little free memory; give one with --bandwidth"):
        answer(Question(read_bytes=1e9))


def test_what_fits_the_last_cache_is_pointed_out(machine: Machine, tmp_path: Path) -> None:
    found = answer(Question(model=model(tmp_path, dense())))
    assert any("fits the last cache (1 MiB)" in note for note in found.notes)
    assert answer(Question(read_bytes=2**20 + 1)).notes == ()


def test_what_does_not_fit_a_card_is_pointed_out() -> None:
    assert any(
        "do not fit" in note
        for note in answer(Question(read_bytes=40e9, hardware="RTX 4090")).notes
    )
    assert answer(Question(read_bytes=20e9, hardware="RTX 4090")).notes == ()


def test_a_model_file_by_depth(tmp_path: Path) -> None:
    path = model(tmp_path, dense())
    found = answer(Question(model=path, bandwidth=1e9, depths=(0, 1000)))
    assert (found.model, found.active_bytes) == ("m.gguf", total(dense()))
    assert found.kv_bytes_per_token == KV
    assert [row.bytes_per_step for row in found.rows] == [
        total(dense()),
        total(dense()) + 1000 * KV,
    ]
    assert all(row.tokens_per_s == pytest.approx(1e9 / row.bytes_per_step) for row in found.rows)
    assert "1000" in text_of(found)


@given(k=st.integers(1, 16), alpha=st.floats(0, 1))
@settings(max_examples=30)
def test_n_grams_are_worth_their_acceptance_length(k: int, alpha: float) -> None:
    _, drafted = answer(speculating(draft_tokens=(k,), acceptance=(alpha,))).rows
    assert drafted.acceptance_length == pytest.approx(expected_tau(alpha, k))
    assert drafted.speedup == pytest.approx(drafted.acceptance_length)
    assert drafted.break_even_length == pytest.approx(1)
    assert drafted.tokens_per_s == pytest.approx(72 * drafted.acceptance_length)


def test_costs_are_in_plain_steps_and_the_best_length_is_marked() -> None:
    found = answer(speculating(draft_tokens=tuple(range(1, 9)), verify_cost=0.05))
    rows = {row.draft_tokens: row for row in found.rows}
    assert rows[4].tokens_per_s == pytest.approx(72 * expected_tau(0.65, 4) / 1.2)
    assert [k for k, row in rows.items() if row.best] == [5]
    assert rows[4].break_even_length == pytest.approx(1.2)
    dear = answer(speculating(verify_cost=0.8))
    assert [row.draft_tokens for row in dear.rows if row.best] == [0]
    assert "no draft length is faster than plain" in text_of(dear)


def test_rates_by_position() -> None:
    found = answer(speculating(draft_tokens=(1, 3), acceptance=(0.9, 0.7, 0.5)))
    assert [row.acceptance_length for row in found.rows] == pytest.approx([1, 1.9, 3.1])


def test_mtp_heads_of_the_model_are_read_for_each_draft(tmp_path: Path) -> None:
    path = model(tmp_path, with_mtp(), nextn_predict_layers=1)
    found = answer(
        Question(model=path, bandwidth=1e9, drafting=MTP[0], draft_tokens=MTP[1], acceptance=MTP[2])
    )
    head = total(with_mtp()) - total(dense()) + size_of((VOCABULARY, EMBEDDING))
    assert found.draft_bytes == head
    assert [row.bytes_per_step for row in found.rows] == [
        total(dense()) + k * head for k in range(4)
    ]


def test_an_mtp_layer_reads_its_own_cache_for_each_draft(tmp_path: Path) -> None:
    path = model(tmp_path, with_mtp(), nextn_predict_layers=1)
    near, far = (
        answer(
            Question(
                model=path,
                bandwidth=1e9,
                drafting=Drafting.MTP,
                draft_tokens=(3,),
                acceptance=(0.5,),
                depths=(depth,),
            )
        ).rows
        for depth in (0, 1000)
    )
    # Two layers of the model hold KV bytes for a token, the MTP layer half of it.
    assert far[0].bytes_per_step - near[0].bytes_per_step == 1000 * KV
    assert far[1].bytes_per_step - near[1].bytes_per_step == 1000 * (KV + 3 * KV / 2)


def test_a_drafter_of_blocks_is_read_once_for_a_draft(tmp_path: Path) -> None:
    drafter = write(tmp_path / "d.gguf", dense(1), architecture="dflash")
    found = answer(
        Question(
            model=model(tmp_path, dense(4)),
            draft_model=drafter,
            bandwidth=1e9,
            drafting=Drafting.DRAFT_MODEL,
            draft_tokens=(1, 8),
            acceptance=(0.5,),
        )
    )
    step = total(dense(4)) + total(dense(1))
    assert [row.bytes_per_step for row in found.rows] == [total(dense(4)), step, step]
    assert found.rows[2].tokens_per_s == pytest.approx(expected_tau(0.5, 8) * 1e9 / step)
    assert "whatever its length" in text_of(found)


@pytest.mark.parametrize("architecture", ["dflash", "eagle3"])
def test_a_drafter_decodes_nothing_by_itself(tmp_path: Path, architecture: str) -> None:
    drafter = write(tmp_path / "d.gguf", dense(1), architecture=architecture)
    with pytest.raises(CalculatorError, match="give it as --draft-model"):
        answer(Question(model=drafter, bandwidth=1e9))


def test_the_bandwidth_that_is_used_is_marked_on_its_own_line_and_its_page_follows() -> None:
    found = answer(Question(read_bytes=14e9, hardware="RTX 4090"))
    lines = text_of(found).splitlines()
    at = next(n for n, line in enumerate(lines) if "used: 1008 GB/s nominal" in line)
    assert lines[at + 1].split() == [found.bandwidths[0].origin]
    assert "No program reaches a nominal" in text_of(found)
    given = answer(Question(read_bytes=14e9, bandwidth=1e12))
    assert any(line.endswith("used: 1000 GB/s given") for line in _stripped(given))
    assert "nominal" not in text_of(given)


def test_mtp_heads_in_a_file_of_their_own(tmp_path: Path) -> None:
    target = model(tmp_path, dense())
    heads = model(tmp_path, heads_alone(), "heads.gguf", nextn_predict_layers=1, block_count=3)
    found = answer(
        Question(
            model=target,
            draft_model=heads,
            bandwidth=1e9,
            drafting=Drafting.MTP,
            draft_tokens=(2,),
            acceptance=(0.5,),
        )
    )
    assert found.draft_bytes > 0


def test_a_draft_model_reads_its_weights_and_its_cache(tmp_path: Path) -> None:
    target, draft = model(tmp_path, dense(4)), model(tmp_path, dense(), "d.gguf")
    found = answer(
        Question(
            model=target,
            draft_model=draft,
            bandwidth=1e9,
            drafting=Drafting.DRAFT_MODEL,
            depths=(100,),
            draft_tokens=(3,),
            acceptance=(0.5,),
        )
    )
    plain = total(dense(4)) + 100 * 2 * KV
    assert found.rows[1].bytes_per_step == plain + 3 * (total(dense()) + 100 * KV)


def test_a_mixture_reads_more_experts_for_more_rows(tmp_path: Path) -> None:
    tensors = dense() | {
        "blk.1.ffn_gate_inp.weight": (8, EMBEDDING),
        "blk.1.ffn_up_exps.weight": (8, WIDTH, EMBEDDING),
        "blk.1.ffn_down_exps.weight": (8, EMBEDDING, WIDTH),
    }
    experts = 2 * size_of((8, WIDTH, EMBEDDING))
    question = Question(
        model=model(tmp_path, tensors, expert_count=8, expert_used_count=2),
        bandwidth=1e9,
        drafting=Drafting.NGRAM,
        draft_tokens=(1,),
        acceptance=(1.0,),
    )
    plain, drafted = answer(question).rows
    assert plain.bytes_per_step == total(tensors) - experts * 6 / 8
    # Two rows choose 8 x (1 - 0.75^2) = 3.5 of the experts.
    assert drafted.bytes_per_step == pytest.approx(plain.bytes_per_step + experts * 1.5 / 8)
    assert 1 < drafted.speedup < 2


def test_an_unknown_architecture_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", dense(), architecture="llamma")
    found = answer(Question(model=path, bandwidth=1e9))
    assert any("'llamma' is not known: all tensors" in note for note in found.notes)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(), "give a model file, or --bytes"),
        (Question(model=Path("m"), read_bytes=1e9), "one of both"),
        (Question(read_bytes=1e9, bandwidth=0), "--bandwidth: it is above 0"),
        (Question(read_bytes=1e9, bandwidth=-1), "--bandwidth: it is above 0"),
        (Question(read_bytes=1e9, hardware="RTX 4099"), "--hardware: no hardware 'RTX 4099'"),
        (Question(read_bytes=1e9, hardware="M4 Max"), "may be several: Apple M4 Max (32-core"),
        (Question(read_bytes=1e9, bandwidth=1e9, depths=(0, 5)), "--depth needs a model file"),
        (Question(read_bytes=1e9, bandwidth=1e9, depths=tuple(range(65))), "65 depths are more"),
        (Question(read_bytes=1e9, draft_tokens=(1,)), "--draft-tokens goes with speculating"),
        (Question(read_bytes=1e9, acceptance=(0.5,)), "--acceptance goes with speculating"),
        (Question(read_bytes=1e9, verify_cost=0.0), "--verify-cost goes with speculating"),
        (speculating(draft_tokens=()), "lengths of the drafts"),
        (speculating(acceptance=()), "how often drafts are accepted"),
        (speculating(draft_tokens=(0, 1)), "draft tokens are 1 to 256"),
        (speculating(draft_tokens=(1000,)), "draft tokens are 1 to 256"),
        (speculating(acceptance=(0.9, 0.5)), "2 rates by position say nothing of 4 draft tokens"),
        (speculating(acceptance=(0.5, 0.6), draft_tokens=(2,)), "never rise"),
        (speculating(acceptance=(1.5,)), "--acceptance: an acceptance is a share"),
        (speculating(verify_cost=-0.1), "verify cost is 0 or more"),
        (speculating(draft_cost=float("nan")), "draft cost is 0 or more"),
    ],
)
def test_a_senseless_question_is_answered_with_what_to_do(question: Question, words: str) -> None:
    with pytest.raises(CalculatorError) as raised:
        answer(question)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("drafting", "words"),
    [
        (Drafting.MTP, "has no MTP heads: name the file"),
        (Drafting.DRAFT_MODEL, "needs the draft model: name it with --draft-model"),
    ],
)
def test_a_drafter_of_unknown_size_is_asked_for(
    tmp_path: Path, drafting: Drafting, words: str
) -> None:
    path = model(tmp_path, dense())
    question = speculating(model=path, read_bytes=None, drafting=drafting)
    with pytest.raises(CalculatorError) as raised:
        answer(question)
    assert words in str(raised.value)
    told = speculating(model=path, read_bytes=None, drafting=drafting, draft_cost=0.1)
    rows = answer(told).rows
    assert rows[3].speedup == pytest.approx(expected_tau(0.65, 4) / 1.4)


def test_without_a_model_unknown_drafts_are_free_and_said_to_be() -> None:
    found = answer(speculating(drafting=Drafting.MTP))
    assert any("drafting counts as free" in note for note in found.notes)
    assert answer(speculating(drafting=Drafting.MTP, draft_cost=0.1)).notes == ()


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    path = model(tmp_path, dense(), "[red]\x1b[31mm.gguf")
    shown = text_of(answer(Question(model=path, bandwidth=1e9)))
    assert "[red]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_plots(tmp_path: Path, ending: str) -> None:
    drawn = tmp_path / f"a.{ending}"
    save_plot(answer(speculating()), drawn)
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert drawn.read_bytes().startswith(starts[ending])


def test_a_plot_over_depths_and_one_that_cannot_be_written(tmp_path: Path) -> None:
    path = model(tmp_path, dense())
    found = answer(Question(model=path, bandwidth=1e9, depths=(0, 512, 4096)))
    save_plot(found, tmp_path / "a.svg")
    with pytest.raises(CalculatorError, match="cannot write"):
        save_plot(found, tmp_path / "none" / "a.svg")
    with pytest.raises(CalculatorError, match="ends with none of"):
        save_plot(found, tmp_path / "a.jpeg")
