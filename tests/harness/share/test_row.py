"""The row and the footnote: what they say, and that nothing breaks out of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.analysis.summary import summarise
from harness.analysis.winner import find_winners
from harness.records import ModelInfo, Sample
from harness.report import escape, numbers
from harness.run_folder import RunData, read_run
from harness.share.footnote import footnote_of
from harness.share.make import make_share, sealed
from harness.share.row import COLUMNS, best_of, cells_of, row_of
from harness.share.share import Share
from harness.share.shared_run import figures_of
from tests.harness.builders import MODEL, make_arm, make_facts, make_run, make_samples
from tests.harness.report.hostile import HOSTILE, hostile_run
from tests.harness.share.runs import faster_run, write_run

EXAMPLES = Path(__file__).parents[3] / "results/examples"
CELL = re.compile(r"(?<!\\)\|")


def share_of(folder: Path, run: RunData) -> Share:
    return make_share(write_run(folder / "run", run))


def test_what_a_row_says(tmp_path: Path) -> None:
    cells = cells_of(figures_of(share_of(tmp_path, faster_run())))
    assert cells == {
        "machine": cells["machine"],
        "memory": "32.00 GB",
        "model": "target.gguf",
        "quantisation": r"Q8\_0",
        "runner": "llama.cpp b9999",
        "workload": "coding<br>prose",
        "max tokens": "128<br>128",
        "setting": "ngram-mod k=4<br>plain",
        "plain tok/s": "50.1<br>50.1",
        "tok/s": "75.2<br>50.1",
        "speed-up [95%]": cells["speed-up [95%]"],
        "acceptance": "50.0%<br>–",
        "τ": "2.00<br>–",
        "lossless": "near-ties in 1 of 6<br>–",
        "rounds × prompts": "3 × 2<br>3 × 2",
    }
    assert re.fullmatch(r"A Processor \(4 cores\) \[\^bench-[0-9a-f]{8}\]", cells["machine"])
    assert re.fullmatch(r"1\.50x \\\[1\.\d\d, 1\.\d\d\]<br>–", cells["speed-up [95%]"])


def test_what_a_footnote_says(tmp_path: Path) -> None:
    note = share_of(tmp_path, faster_run()).footnote
    for words in (
        "8 threads, 32.00 GB of memory, Linux 6.1 x86\\_64",
        "Memory bandwidth 100.0 GB/s, as it was measured",
        "Model target.gguf, Q8\\_0, 1.00 GB, SHA-256 abababababab",
        "Context 4096, KV cache f16, one request at a time, 1 slot",
        "coding: ngram-mod k=4,",
        "the best of 2 settings",
        "prose: plain,",
        "proven faster than each of 2 settings, of which the best is ngram-mod k=4 0.80x",
        "None of 36 requests left out as doubtful",
        "Not known: power limit",
    ):
        assert words in note, words


@pytest.mark.parametrize("example", ["demo", "h100-smollm2", "h100-verification"])
def test_its_figures_are_the_reports(example: str) -> None:
    """What is computed without the answers is what the report computes with them."""
    run = read_run(EXAMPLES / example)
    rows = summarise(run)
    contests = find_winners(run, rows)
    measured = figures_of(make_share(EXAMPLES / example)).measured
    assert len(measured) == len(contests)
    for one, contest in zip(measured, contests, strict=True):
        assert one.contest.outcome is contest.outcome
        own, best = best_of(one.contest), best_of(contest)
        assert (own.decode_rate, own.speedup) == (best.decode_rate, best.speedup)
        assert own.speculating == best.speculating
        assert own.left_out == best.left_out or len(own.left_out) == len(best.left_out)
        if contest.best is not None:
            found = contest.best.lossless
            assert (one.lossless.verdict, one.lossless.differing, one.lossless.compared) == (
                found.verdict,
                found.differing,
                found.compared,
            )
            assert one.lossless.margin == found.margin


def test_doubtful_samples_are_counted(tmp_path: Path) -> None:
    plain, fast = make_arm(), make_arm("ngram-mod", 4)
    short = {"output_tokens": 3}
    spoilt = make_samples(fast, [70.0, 71.0, 72.0, 73.0])
    spoilt[0] = spoilt[0].model_copy(update=short)
    run = make_run([plain, fast], [*make_samples(plain, [50.0, 51.0, 52.0, 53.0]), *spoilt])
    note = share_of(tmp_path, run).footnote
    assert "1 of 8 requests left out as doubtful: answer shorter than 8 tokens (1)" in note


def test_reasons_are_those_of_the_samples_that_were_left_out(tmp_path: Path) -> None:
    """Where most of a trial is spoiled, all of it stays, and it is called doubtful."""
    plain, fast = make_arm(), make_arm("ngram-mod", 4)
    spoilt = [
        sample.model_copy(update={"output_tokens": 3})
        for sample in make_samples(fast, [70.0, 71.0, 72.0])
    ]
    share = share_of(
        tmp_path, make_run([plain, fast], [*make_samples(plain, [50.0, 51.0, 52.0]), *spoilt])
    )
    assert "None of 6 requests left out as doubtful" in share.footnote
    assert "doubtful (3 of 3: answer shorter than 8 tokens)" in share.footnote


def test_two_rows_of_a_run_have_two_footnotes(tmp_path: Path) -> None:
    one, other = make_arm(), make_arm(id="vllm-none", runner="vllm", baseline="vllm-none")
    samples = [*make_samples(one, [50.0, 51.0]), *make_samples(other, [60.0, 61.0])]
    folder = write_run(tmp_path / "run", make_run([one, other], samples))
    notes = [make_share(folder, name).footnote.split(":")[0] for name in ("none", "vllm-none")]
    assert notes[0] != notes[1]


def test_an_unproven_best_is_named_as_such(tmp_path: Path) -> None:
    plain, fast = make_arm(), make_arm("draft-model", 4)
    samples = [*make_samples(plain, [50.0, 51.0]), *make_samples(fast, [70.0, 30.0])]
    share = share_of(tmp_path, make_run([plain, fast], samples))
    assert "draft-model k=4, draft draft.gguf (not proven faster than plain)" in share.row
    assert "Draft model draft.gguf, Q8" in share.footnote


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    plain = make_arm(runner="vllm")
    model = ModelInfo(path=MODEL, sha256="ab" * 32, size=1, facts=None)
    run = make_run([plain], make_samples(plain, [50.0, 51.0]), models=(model,), runners=())
    note = share_of(tmp_path, run).footnote
    unknown = re.search(r"Not known: ([^.]*)\.", note)
    assert unknown is not None
    assert unknown[1].split(", ") == ["quantisation", "slots", "power limit"]


def test_sampled_answers_are_not_compared(tmp_path: Path) -> None:
    share = share_of(tmp_path, faster_run(temperature=0.5))
    assert "not comparable" in share.row
    assert "temperature 0.5" in share.footnote


def test_hostile_text_stays_in_its_cell(tmp_path: Path) -> None:
    # A lone surrogate cannot be in a file of UTF-8 text.
    share = share_of(tmp_path, without_surrogates(hostile_run()))
    assert_one_row(share)
    assert "<script" not in share.row + share.footnote


def without_surrogates(run: RunData) -> RunData:
    def plain(record: Sample) -> Sample:
        return Sample.model_validate(_cleaned(record.model_dump()))

    manifest = type(run.manifest).model_validate(_cleaned(run.manifest.model_dump()))
    return RunData(manifest, (), tuple(map(plain, run.samples)), run.sessions)


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\ud800", "?")
    if isinstance(value, dict):
        return {key: _cleaned(inner) for key, inner in value.items()}
    return tuple(map(_cleaned, value)) if isinstance(value, list | tuple) else value


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=40), st.just(HOSTILE)))
def test_a_row_is_one_line_of_always_as_many_columns(tiny: Share, text: str) -> None:
    manifest = tiny.manifest
    arms = tuple(
        arm.model_copy(
            update={"runner": text, "model": text, "options": ((text, text),), "varied": (text,)}
        )
        for arm in manifest.arms
    )
    renamed = manifest.model_copy(
        update={
            "arms": arms,
            "runners": tuple(r.model_copy(update={"kind": text}) for r in manifest.runners),
            "models": (
                ModelInfo(path=text, sha256=text, size=1, facts=make_facts(quantization=text)),
            ),
            "machine": manifest.machine.model_copy(update={"cpu": text}),
        }
    )
    assert_one_row(tiny.model_copy(update={"manifest": renamed}))


def assert_one_row(share: Share) -> None:
    figures = figures_of(share)
    row, note = row_of(figures), footnote_of(figures)
    assert len(row.splitlines()) == len(note.splitlines()) == 1
    assert len(CELL.findall(row)) == len(COLUMNS) + 1
    assert len(CELL.findall(share.header.splitlines()[0])) == len(COLUMNS) + 1
    assert re.match(r"\[\^bench-[0-9a-f]{8}\]: ", note)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """Two rounds of one prompt: too few for an interval, so that it is quick."""
    plain, fast = make_arm(), make_arm("ngram-mod", 4)
    samples = [*make_samples(plain, [50.0, 51.0]), *make_samples(fast, [70.0, 72.0])]
    return share_of(tmp_path_factory.mktemp("tiny"), make_run([plain, fast], samples))


def test_numbers_are_the_reports_own(tiny: Share) -> None:
    (one,) = figures_of(tiny).measured
    assert one.contest.best is not None
    assert one.contest.best.speedup is not None
    assert escape.markdown(numbers.speedup(one.contest.best.speedup)) in tiny.row
    assert sealed(tiny) == tiny
