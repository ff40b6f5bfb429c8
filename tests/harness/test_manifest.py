"""The manifest of plans whose models are split, and of machines that cannot be measured."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import harness.manifest
from harness.machine.bandwidth import Bandwidth, BandwidthError
from harness.manifest import differences, make_manifest, read_models
from harness.models.errors import ModelFileError
from harness.models.read import ModelFile, read_model_file
from harness.models.shelf import Shelf
from harness.plan import Plan, make_plan
from harness.records import Manifest
from harness.suite import make_suite
from runners.registry import RUNNERS
from tests.harness.models.gguf_files import dense, write
from tests.models.export import Family

MEASURED = Bandwidth(bytes_per_s=1e9, readings=(1e9,), threads=1, buffer_bytes=1)


def mock_plan() -> Plan:
    return make_plan(make_suite({"runner": "mock", "workloads": ["coding"]}), RUNNERS)


def plan_with(model: Path) -> Plan:
    """As of a runner that reads model files; nothing is launched."""
    plan = mock_plan()
    arms = tuple(
        arm.model_copy(update={"runner": "llama.cpp", "model": str(model)}) for arm in plan.arms
    )
    return replace(plan, arms=arms)


def test_a_bandwidth_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Bandwidth:
        raise BandwidthError("too little free memory")

    monkeypatch.setattr(harness.manifest, "measure_read_bandwidth", fail)
    heard: list[str] = []
    manifest = make_manifest(mock_plan(), RUNNERS, ["bench"], heard.append)
    assert manifest.machine.bandwidth is None
    assert heard == ["measuring memory bandwidth", "too little free memory"]


def test_a_manifest_made_for_comparison_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []

    def measure() -> Bandwidth:
        calls.append(None)
        return MEASURED

    monkeypatch.setattr(harness.manifest, "measure_read_bandwidth", measure)
    first = make_manifest(mock_plan(), RUNNERS, ["bench"], lambda _: None)
    assert first.machine.bandwidth == MEASURED
    again = make_manifest(mock_plan(), RUNNERS, ["bench"], lambda _: None, measure=False)
    assert again.machine.bandwidth is None
    assert len(calls) == 1
    assert differences(first, again) == []


def test_a_build_by_a_name_of_its_own_is_recorded() -> None:
    build = {"runner": "mock", "program": "mine"}
    suite = make_suite({"runner": "new", "runners": {"new": build}, "workloads": ["coding"]})
    plan = make_plan(suite, {"new": RUNNERS["mock"]})
    manifest = make_manifest(plan, {"new": RUNNERS["mock"]}, [], lambda _: None, measure=False)
    (info,) = manifest.runners
    assert (info.name, info.kind, info.program) == ("new", "mock", "mine")
    assert {arm.runner for arm in manifest.arms} == {"new"}


def test_a_build_that_has_become_another_one_is_a_difference() -> None:
    first = make_manifest(mock_plan(), RUNNERS, [], lambda _: None, measure=False)
    (runner,) = first.runners
    newer = runner.model_copy(update={"version": "later"})
    again = first.model_copy(update={"runners": (newer,)})
    assert differences(first, again) == [f"mock was {runner.version}, is now later"]
    # Of a server that does not answer nobody knows, before or after.
    silent = again.model_copy(
        update={"runners": (runner.model_copy(update={"version": "unknown"}),)}
    )
    assert differences(first, silent) == differences(silent, first) == []


def test_a_manifest_of_before_builds_had_names_can_be_read() -> None:
    manifest = make_manifest(mock_plan(), RUNNERS, [], lambda _: None, measure=False)
    old = json.loads(manifest.model_dump_json())
    for runner in old["runners"]:
        del runner["kind"], runner["program"]
    for arm in old["arms"]:
        for key in ("synthetic", "asked", "limit", "impossible"):
            del arm[key]
    assert Manifest.model_validate(old).runners[0].kind is None


def test_headers_are_read_once(tmp_path: Path) -> None:
    file = write(tmp_path / "m.gguf", dense())
    read: list[Path] = []

    def reading(path: Path) -> ModelFile:
        read.append(path)
        return read_model_file(path)

    plan = make_plan(make_suite({"model": str(file), "methods": ["ngram-mod"]}), RUNNERS)
    plan = replace(plan, shelf=Shelf(reading))
    read_models(plan, RUNNERS, lambda _: None)
    read_models(plan, RUNNERS, lambda _: None)
    assert read == [file]


def test_one_file_has_its_own_hash(tmp_path: Path) -> None:
    file = write(tmp_path / "m.gguf", dense())
    (model,) = read_models(plan_with(file), RUNNERS, lambda _: None)
    assert model.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.size == file.stat().st_size


def test_a_folder_is_all_of_its_files(tmp_path: Path, family: Family) -> None:
    folder = tmp_path / "model"
    shutil.copytree(family.draft_hf, folder)
    (folder / ".cache").mkdir()
    (before,) = read_models(plan_with(folder), RUNNERS, lambda _: None)
    assert before.size == sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    (folder / ".notes").write_text("not the model's")
    (again,) = read_models(plan_with(folder), RUNNERS, lambda _: None)
    assert again.sha256 == before.sha256
    for name in ("tokenizer_config.json", "config.json"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        (after,) = read_models(plan_with(folder), RUNNERS, lambda _: None)
        assert after.sha256 != before.sha256
        before = after


def test_a_split_model_is_all_of_its_parts(tmp_path: Path) -> None:
    tensors = list(dense(2).items())
    parts = [
        write(
            tmp_path / f"m-{number:05}-of-00002.gguf",
            dict(some),
            integers={"split.count": 2, "split.no": number - 1, "block_count": 2},
        )
        for number, some in enumerate((tensors[:7], tensors[7:]), 1)
    ]
    (model,) = read_models(plan_with(parts[0]), RUNNERS, lambda _: None)
    assert model.size == sum(part.stat().st_size for part in parts)
    # Any change of any part is a change of the model.
    data = bytearray(parts[1].read_bytes())
    data[-1] ^= 1
    parts[1].write_bytes(data)
    (changed,) = read_models(plan_with(parts[0]), RUNNERS, lambda _: None)
    assert changed.sha256 != model.sha256
    assert changed.size == model.size
    (by_second,) = read_models(plan_with(parts[1]), RUNNERS, lambda _: None)
    assert by_second.sha256 == changed.sha256


def test_a_model_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        read_models(plan_with(tmp_path / "none.gguf"), RUNNERS, lambda _: None)
