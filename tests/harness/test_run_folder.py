from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Sample
from harness.run_folder import DiskError, RunFolder, RunFolderError, read_run
from tests.harness.builders import (
    make_arm,
    make_launch,
    make_manifest,
    make_probe,
    make_sample,
)

MANIFEST = make_manifest([make_arm(), make_arm("ngram-mod", 4)], [])
SAMPLES = [make_sample(make_arm(), round=number, sequence=number) for number in range(1, 5)]
PROBE = make_probe(SAMPLES[0], 9, -0.7, -0.75)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with RunFolder.create(tmp_path / "run", MANIFEST) as folder:
        for sample in SAMPLES:
            folder.add(sample)
    return tmp_path / "run"


def test_what_was_written_comes_back(run: Path) -> None:
    data = read_run(run)
    assert list(data.samples) == SAMPLES
    assert data.manifest == MANIFEST


def test_probes_come_back_and_older_runs_have_none(run: Path) -> None:
    assert read_run(run).probes == ()
    probes = (PROBE, make_probe(SAMPLES[0], 5, reason="not told"))
    with RunFolder.resume(run) as folder:
        for probe in probes:
            folder.add(probe)
    assert read_run(run).probes == probes
    file = run / "probes.jsonl"
    file.write_bytes(file.read_bytes() + b'{"arm": "no')
    with RunFolder.resume(run) as folder:
        assert folder.read().probes == probes
    assert file.read_bytes().endswith(b"}\n")
    file.unlink()
    assert read_run(run).probes == ()


def test_a_later_line_of_a_launch_takes_the_place_of_the_first(run: Path) -> None:
    arm = make_arm("ngram-mod", 4)
    first, second = make_launch(arm), make_launch(arm, 2)
    reviewed = first.model_copy(update={"remark": "no drafts", "draft_limit": 2})
    with RunFolder.resume(run) as folder:
        for launch in (first, second, reviewed):
            folder.add(launch)
    assert read_run(run).launches == (reviewed, second)


def test_folder_that_exists(run: Path) -> None:
    with pytest.raises(RunFolderError, match="exists already: choose another --out"):
        RunFolder.create(run, MANIFEST)


def test_folder_without_a_run_is_not_one_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        RunFolder.create(tmp_path, MANIFEST)
    assert str(caught.value) == f"{tmp_path} exists already: choose another --out"


def test_link_to_nowhere_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="exists already"):
        RunFolder.create(tmp_path / "run", MANIFEST)


def test_name_that_no_folder_can_have(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot write to .*: File name too long"):
        RunFolder.create(tmp_path / ("x" * 300), MANIFEST)
    with pytest.raises(RunFolderError, match=r"cannot read .*: File name too long"):
        read_run(tmp_path / ("x" * 300))
    assert not list(tmp_path.iterdir())


def test_killed_before_the_manifest_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name stays free; beside it lies what the next start of that process id takes over."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", kill)
        with pytest.raises(Killed):
            RunFolder.create(tmp_path / "run", MANIFEST)
    assert not (tmp_path / "run").exists()
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    assert read_run(tmp_path / "run").manifest == MANIFEST
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_full_disk_at_the_beginning_leaves_nothing(tmp_path: Path) -> None:
    with largest_file(100), pytest.raises(RunFolderError, match="cannot write to"):
        RunFolder.create(tmp_path / "run", MANIFEST)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="cannot write to"):
        RunFolder.create(tmp_path / "run", MANIFEST)


def test_out_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=r"cannot write to .*: Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", MANIFEST)


def test_half_written_last_line_is_cut_and_the_rest_kept(run: Path) -> None:
    file = run / "samples.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines()[0][:57])
    assert list(read_run(run).samples) == SAMPLES
    with RunFolder.resume(run) as folder:
        more = make_sample(make_arm(), round=9)
        folder.add(more)
    assert list(read_run(run).samples) == [*SAMPLES, more]


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_loses_one_sample_at_most(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "run"
    with RunFolder.create(path, MANIFEST) as folder:
        for sample in SAMPLES:
            folder.add(sample)
    file = path / "samples.jsonl"
    data = file.read_bytes()
    kept = data[: cut % (len(data) + 1)]
    file.write_bytes(kept)
    with RunFolder.resume(path) as folder:
        assert list(folder.read().samples) == SAMPLES[: kept.count(b"\n")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"not json\n", "line 5: not a sample"),
        (b"\xff\xfe\n", "line 5: not a sample"),
        (b'{"arm": "none"}\n', "line 5: not a sample: round: Field required"),
        (b"\n", "line 5: not a sample"),
    ],
)
def test_corrupt_line_is_named(run: Path, line: bytes, words: str) -> None:
    with (run / "samples.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(RunFolderError, match=words) as caught:
        RunFolder.resume(run)
    assert "Delete that line; under --resume it is measured again" in str(caught.value)


def test_damaged_probes_are_named(run: Path) -> None:
    file = run / "probes.jsonl"
    file.write_text("not json\n")
    with pytest.raises(RunFolderError, match="line 1: not a probe") as caught:
        RunFolder.resume(run)
    assert "Delete that line; under --resume it is measured again" in str(caught.value)
    line = PROBE.model_dump_json() + "\n"
    file.write_text(line * 2)
    with pytest.raises(RunFolderError, match="line 2: the same request as line 1"):
        read_run(run)


@pytest.mark.parametrize("name", ["launches.jsonl", "sessions.jsonl"])
def test_only_samples_are_measured_again(run: Path, name: str) -> None:
    (run / name).write_text("not json\n")
    with pytest.raises(RunFolderError) as caught:
        read_run(run)
    assert str(caught.value).endswith("Delete that line.")


def test_the_same_request_twice(run: Path) -> None:
    with (run / "samples.jsonl").open("ab") as file:
        file.write(SAMPLES[1].model_dump_json().encode() + b"\n")
    with pytest.raises(RunFolderError, match="line 5: the same request as line 2"):
        read_run(run)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is no manifest"), ("{}", "is no manifest"), ("[1]", "is no manifest")],
)
def test_broken_manifest(run: Path, text: str, words: str) -> None:
    (run / "manifest.json").write_text(text)
    with pytest.raises(RunFolderError, match=words):
        read_run(run)


def test_manifest_of_a_later_schema(run: Path) -> None:
    file = run / "manifest.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(RunFolderError, match="schema version"):
        read_run(run)


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run"):
        read_run(tmp_path)


def test_two_sweeps_in_one_folder(run: Path) -> None:
    with (
        RunFolder.resume(run),
        pytest.raises(RunFolderError, match="another bench is measuring"),
    ):
        RunFolder.resume(run)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that is full beyond `size` bytes a file, as far as a write can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_keeps_what_was_written(run: Path) -> None:
    file = run / "samples.jsonl"
    size = file.stat().st_size
    with RunFolder.resume(run) as folder:
        with largest_file(size + 100), pytest.raises(DiskError, match="--resume"):
            folder.add(make_sample(make_arm(), round=9))
        # The part of the line that found room is taken back.
        assert file.stat().st_size == size
        folder.add(make_sample(make_arm(), round=9))
    assert len(read_run(run).samples) == 5


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=200), reason=st.text(max_size=50))
def test_any_text_of_a_model_survives(
    tmp_path_factory: pytest.TempPathFactory, text: str, reason: str
) -> None:
    path = tmp_path_factory.mktemp("text") / "run"
    sample: Sample = make_sample(make_arm(), text=text, reason=reason)
    with RunFolder.create(path, MANIFEST) as folder:
        folder.add(sample)
        assert folder.read().samples == (sample,)
