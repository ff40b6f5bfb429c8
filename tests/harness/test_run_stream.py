from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Sample
from harness.run_folder import RunFolderError
from harness.run_stream import SampleStream
from tests.harness.builders import make_arm, make_sample

BURSTS = ((0.0, 1), (0.25, 2), (1e-7, 3))


def stream(folder: Path, *lines: str) -> list[tuple[Sample, int]]:
    (folder / "samples.jsonl").write_text("".join(lines), "utf-8")
    return list(SampleStream(folder))


def line(sample: Sample) -> str:
    return sample.model_dump_json(exclude_none=True) + "\n"


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet='"bursts:[]{}\\ü ,0'), bursts=st.sampled_from([(), BURSTS]))
def test_a_sample_comes_whole_but_for_its_bursts(
    tmp_path_factory: pytest.TempPathFactory, text: str, bursts: tuple[tuple[float, int], ...]
) -> None:
    sample = make_sample(make_arm(), bursts=bursts, text=text + '"bursts":[[')
    ((read, count),) = stream(tmp_path_factory.mktemp("run"), line(sample))
    assert count == len(bursts)
    assert read.key == sample.key
    kept = Sample.model_fields.keys() - {"bursts"}
    assert {name: getattr(read, name) for name in kept} == sample.model_dump(include=kept)


def test_bursts_of_another_writer_are_counted_too(tmp_path: Path) -> None:
    sample = make_sample(make_arm(), bursts=BURSTS)
    spaced = line(sample).replace('"bursts":[[', '"bursts": [ [')
    assert [count for _, count in stream(tmp_path, spaced)] == [3]


def test_what_only_the_record_reads_is_read(tmp_path: Path) -> None:
    sample = make_sample(make_arm(), bursts=BURSTS, ttft_s=0.5)
    ((read, count),) = stream(tmp_path, line(sample).replace('"ttft_s":0.5', '"ttft_s":"0.5"'))
    assert (read.ttft_s, count) == (0.5, 3)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("round", '"one"', "round: Input should be a valid integer"),
        ("status", '"fine"', "status: Input should be 'ok' or 'failed'"),
        ("bursts", "5", "bursts: Input should be a valid"),
        ("rounds", "1", "rounds: Extra inputs are not permitted"),
    ],
)
def test_a_line_that_is_no_sample_is_told_as_by_a_whole_reading(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    good = line(make_sample(make_arm())).rstrip("}\n")
    with pytest.raises(RunFolderError, match=f"line 1: not a sample: {said}"):
        stream(tmp_path, f'{good},"{key}":{value}}}\n')


@pytest.mark.parametrize("inside", ['[0.0,"x"]', "[0.0,1],{}", "[0.0,1],null"])
def test_damaged_bursts_are_seen(tmp_path: Path, inside: str) -> None:
    good = line(make_sample(make_arm(), bursts=((0.5, 1),)))
    with pytest.raises(RunFolderError, match="line 1: not a sample"):
        stream(tmp_path, good.replace("[0.5,1]", inside))


def test_a_repeated_request_is_refused(tmp_path: Path) -> None:
    one = line(make_sample(make_arm()))
    with pytest.raises(RunFolderError, match="line 2: the same request as line 1"):
        stream(tmp_path, one, one)


def test_a_line_without_its_end_is_left_out(tmp_path: Path) -> None:
    one = line(make_sample(make_arm()))
    (tmp_path / "samples.jsonl").write_text(one + one[:-1], "utf-8")
    samples = SampleStream(tmp_path)
    assert len(list(samples)) == 1
    assert samples.cut_off
