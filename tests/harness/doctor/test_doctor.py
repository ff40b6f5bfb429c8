from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from harness.doctor import doctor
from harness.doctor.doctor import Diagnosis, examine
from harness.doctor.view import render
from harness.machine.bandwidth import Bandwidth, BandwidthError
from harness.machine.fingerprint import Gpu, Machine
from runners.base.contract import Found, Missing, Runner
from runners.base.packaging import Packaging
from runners.base.support import MethodSupport
from runners.registry import RUNNERS as RUNNERS_HERE

BANDWIDTH = Bandwidth(
    bytes_per_s=18.4e9, readings=(17e9, 18.4e9), threads=2, buffer_bytes=840 << 20
)


class Searched:
    """The two questions that the doctor asks of a runner."""

    packagings = (Packaging.MLX, Packaging.HF)
    attached = False

    def __init__(self, result: Found | Missing | Exception) -> None:
        self.result = result

    def find(self) -> Found | Missing:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def runner(result: Found | Missing | Exception) -> Runner:
    return cast("Runner", Searched(result))


FOUND = Found(
    version="b1234",
    where="/opt/[red]bin[/red]/llama-server",
    methods=(
        MethodSupport("none", supported=True),
        MethodSupport("mtp", supported=False, note="the model needs MTP heads " + "x" * 100),
    ),
    acceptance_source="/metrics counters",
    devices=("CPU", "CUDA0"),
)
RUNNERS = {
    "llama.cpp": runner(FOUND),
    "vllm": runner(Missing(reason="no vllm on PATH", advice="pip install vllm")),
    "broken": runner(OSError("exec [bold]format\x1b[2J\nerror")),
}


@pytest.fixture
def diagnosis(monkeypatch: pytest.MonkeyPatch) -> Diagnosis:
    monkeypatch.setattr(doctor, "measure_read_bandwidth", lambda: BANDWIDTH)
    return examine(RUNNERS)


def printed(diagnosis: Diagnosis, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(render(diagnosis))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_runners_are_found_or_missing(diagnosis: Diagnosis) -> None:
    found, missing, broken = diagnosis.runners
    assert (found.name, found.found, found.version) == ("llama.cpp", True, "b1234")
    assert found.where == FOUND.where
    assert found.methods == FOUND.methods
    assert found.reason is None
    assert found.packagings == missing.packagings == (Packaging.MLX, Packaging.HF)
    assert (missing.found, missing.reason, missing.advice) == (
        False,
        "no vllm on PATH",
        "pip install vllm",
    )
    assert not broken.found
    assert "OSError: exec" in (broken.reason or "")
    assert broken.advice


def test_a_llama_server_on_path_stands_beside_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(doctor.runners_here()) == list(RUNNERS_HERE)
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert list(doctor.runners_here()) == [*RUNNERS_HERE, "llama.cpp (llama-server)"]
    # Where it is the only llama.cpp it already is the runner of that name.
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert list(doctor.runners_here()) == list(RUNNERS_HERE)


def test_the_bandwidth_is_measured_unless_not_wanted(
    diagnosis: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnosis.machine.bandwidth == BANDWIDTH

    def fail() -> Bandwidth:
        raise AssertionError("measured")

    monkeypatch.setattr(doctor, "measure_read_bandwidth", fail)
    assert examine({}, measure=False).machine.bandwidth is None


def test_a_bandwidth_that_cannot_be_measured_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Bandwidth:
        raise BandwidthError("too little free memory")

    monkeypatch.setattr(doctor, "measure_read_bandwidth", fail)
    diagnosis = examine({})
    assert diagnosis.machine.bandwidth is None
    assert diagnosis.notes == ("too little free memory",)
    assert "  too little free memory" in map(str.rstrip, printed(diagnosis))


def test_json_and_back(diagnosis: Diagnosis) -> None:
    text = diagnosis.model_dump_json(indent=2)
    assert Diagnosis.model_validate_json(text) == diagnosis
    mtp = json.loads(text)["runners"][0]["methods"][1]
    assert mtp["method"] == "mtp"
    assert mtp["supported"] is False


def test_texts_are_shown_as_they_are(diagnosis: Diagnosis) -> None:
    lines = printed(diagnosis)
    text = "\n".join(lines)
    assert "/opt/[red]bin[/red]/llama-server" in text
    assert r"exec [bold]format\x1b[2J error" in text
    assert "\x1b" not in text
    assert "reads       an MLX folder, or a Hugging Face folder" in text
    assert "18.4 GB/s read, 2 threads over 840 MiB, best of 2" in text


@pytest.mark.parametrize("width", [80, 60])
def test_nothing_is_wider_than_the_terminal_or_lost(diagnosis: Diagnosis, width: int) -> None:
    lines = printed(diagnosis, width)
    assert max(map(len, lines)) <= width
    assert sum(line.count("x") for line in lines) >= 100


def test_gpus_are_shown() -> None:
    machine = Machine(
        system="Linux 6.1 x86_64",
        python="CPython 3.12.0",
        cpu="Some CPU",
        cores=8,
        threads=16,
        last_level_cache_bytes=None,
        memory_bytes=64 << 30,
        gpus=(
            Gpu(
                name="RTX [3090]",
                memory_bytes=24 << 30,
                bandwidth_bytes_per_s=936e9,
                driver="570.1",
            ),
            Gpu(name="Unknown", memory_bytes=None, bandwidth_bytes_per_s=None),
        ),
    )
    text = "\n".join(printed(Diagnosis(machine=machine, runners=())))
    assert "RTX [3090], 24.0 GiB, 936 GB/s nominal, driver 570.1" in text
    assert "Unknown" in text
    assert "not measured" in text
    assert "none known" in text


def test_a_runner_that_waits_for_a_url_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "measure_read_bandwidth", lambda: BANDWIDTH)
    diagnosis = examine({"endpoint": RUNNERS_HERE["endpoint"]})
    (state,) = diagnosis.runners
    assert (state.found, state.attached) == (False, True)
    lines = [line.rstrip() for line in printed(diagnosis, 200)]
    at = lines.index("endpoint  on request")
    assert lines[at + 1].startswith(
        "  advice      bench sweep --url http://localhost:8080/v1 --dry"
    )
    assert not any("missing" in line or "reason" in line for line in lines)
