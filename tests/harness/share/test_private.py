"""Nothing that names a person, a machine or a folder leaves with a share."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Launch, Manifest, Probe, Record, Sample
from harness.run_folder import RunData
from harness.share import make
from harness.share.make import make_share
from harness.share.private import HIDDEN, Private
from harness.share.share import to_json
from harness.share.verify import fault_of
from tests.harness.share.runs import faster_run, write_run

USER, HOST, SERVER = "jane.doe", "janes-laptop", "gpu-box.example.org"
HOME = f"/home/{USER}"
PERSONAL = (
    f" {HOME}/private/x {USER} {USER.title()}'s {HOST} {HOST}.local at "
    f"http://{USER}:secret@{SERVER}:8080/v1 {SERVER}"
)
R = TypeVar("R", bound=Record)
CHOSEN_FROM_A_LIST = {"method", "status", "name_of_the_suite", "finish_reason"}


def test_a_run_that_is_full_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "here", lambda: [USER, HOST])
    share = make_share(write_run(tmp_path / "run", personal_run()))
    shown = f"{to_json(share)}{share.row}{share.footnote}".encode().lower()
    for word in (USER, "jane", HOST, SERVER, "gpu-box", "secret", "/home", "private", "http"):
        assert word.encode() not in shown, word
    assert "ngram-mod k=4" in share.row
    assert fault_of(share) is None


def test_names_of_another_machine_are_found_in_the_paths_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shares a run need not have measured it."""
    monkeypatch.setattr(make, "here", lambda: ["somebody", "elsewhere"])
    share = make_share(write_run(tmp_path / "run", personal_run()))
    shown = f"{to_json(share)}{share.row}{share.footnote}".encode().lower()
    for word in (USER, SERVER, "secret", "/home"):
        assert word.encode() not in shown, word


def personal_run() -> RunData:
    run = faster_run()
    return RunData(
        _personal(Manifest, run.manifest),
        tuple(_personal(Launch, launch) for launch in run.launches),
        tuple(_personal(Sample, sample) for sample in run.samples),
        run.sessions,
        tuple(_personal(Probe, probe) for probe in run.probes),
    )


def _personal(kind: type[R], record: R) -> R:
    changed = _with_names(record.model_dump())
    if isinstance(changed, dict) and "suite" in changed:
        suite = changed["suite"]
        assert isinstance(suite, dict)
        changed["suite"] = {**suite, "name": "a-run", "workloads": ("coding",)}
        changed["command"] = ("bench", "sweep", PERSONAL)
    return kind.model_validate(changed)


def _with_names(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return {name: _with_names(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_with_names(inner, key) for inner in value)
    if isinstance(value, str) and key not in CHOSEN_FROM_A_LIST and "sha256" not in key:
        return value + PERSONAL
    return value


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/jane.doe/models/m.gguf", "m.gguf"),
        ("models/m.gguf", "m.gguf"),
        ("/models/a-folder/", "a-folder"),
        (r"C:\Users\jane.doe\m.gguf", "m.gguf"),
        ("/c/models--org--name/snapshots/0123abcd", "org-name"),
        ("/models/jane.doe-tuned.gguf", f"{HIDDEN}-tuned.gguf"),
        ("/", HIDDEN),
    ],
)
def test_a_file_is_its_name(path: str, name: str) -> None:
    assert Private([USER, HOST]).file(path) == name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/jane.doe/chat.jinja", "chat.jinja"),
        ("http://gpu-box/v1", HIDDEN),
        (r"blk\.[0-9]+\.ffn=CPU", r"blk\.[0-9]+\.ffn=CPU"),
        ("q8_0", "q8_0"),
    ],
)
def test_a_value_that_is_a_path_is_its_last_part(value: str, shown: str) -> None:
    assert Private([USER]).value(value) == shown


def test_a_word_that_holds_a_name_stays() -> None:
    private = Private(["ann", "root", "10.0.0.7"])
    assert (
        private.text("planned by Ann, root of 10.0.0.7") == f"planned by {HIDDEN}, root of {HIDDEN}"
    )


def test_a_number_is_no_name() -> None:
    assert Private(["7"]).text("b7 of 7") == "b7 of 7"


@settings(max_examples=200)
@given(
    st.text(alphabet=st.characters(exclude_characters="/\\"), max_size=20),
    st.sampled_from(["", " ", "\n", "(", '"', "=", ","]),
    st.text(max_size=20),
)
def test_no_home_folder_and_no_name_is_left(before: str, between: str, after: str) -> None:
    shown = Private([USER]).text(f"{before} {HOME}/a{between}{USER} {after}")
    assert HOME not in shown
    assert USER not in shown
