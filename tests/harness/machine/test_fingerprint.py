from __future__ import annotations

import getpass
import re
import socket
import sys
from types import SimpleNamespace

import pytest

from harness.machine.cards import all_cards
from harness.machine.fingerprint import Machine, apple_gpu, read_machine
from harness.machine.hardware import apple_bandwidth
from harness.machine.nvidia import SOURCE, TABLE, load_nvml, read_gpus
from harness.machine.system import System


def test_this_machine() -> None:
    machine = read_machine()
    assert re.match(r"\S+ \d+\.\d+(\.\d+)? \S+$", machine.system)
    assert machine.python.endswith(".".join(map(str, sys.version_info[:3])))
    assert machine.threads >= machine.cores >= 1
    assert machine.memory_bytes > 1 << 28
    assert machine.bandwidth is None
    assert Machine.model_validate_json(machine.model_dump_json()) == machine


def test_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.release", lambda: "6.1.0-ada-lovelace")
    text = System().name() + read_machine().model_dump_json()
    assert "lovelace" not in text
    assert "/" not in read_machine().model_dump_json().replace("Apple's", "")
    for name in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", text)


@pytest.mark.parametrize(
    ("chip", "cores", "expected"),
    [
        ("Apple M1", None, 68e9),
        ("Apple M2 Ultra", 76, 800e9),
        ("Apple M4 Max", 40, 546e9),
        ("Apple M4 Max", 32, 410e9),
        ("Apple M4 Max", None, None),
        ("Apple M3 Max", 30, 300e9),
        ("Apple M99", 8, None),
        ("Apple M4 Maximal", 40, None),
        ("Intel(R) Core(TM) i7", None, None),
    ],
)
def test_apple_bandwidth(chip: str, cores: int | None, expected: float | None) -> None:
    assert apple_bandwidth(chip, cores) == expected


def test_a_larger_apple_chip_of_a_generation_is_never_slower() -> None:
    for generation in ("M1", "M2", "M3", "M4", "M5"):
        figures = []
        for tier in ("", " Pro", " Max", " Ultra"):
            name = f"Apple {generation}{tier}"
            figures += [
                card.bytes_per_s
                for card in all_cards()
                if card.name == name or card.name.startswith(f"{name} (")
            ]
        assert len(figures) >= 3
        assert figures == sorted(figures)


def test_an_apple_gpu_shares_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    here = System()
    assert apple_gpu(here) == () or here.cpu().startswith("Apple")
    monkeypatch.setattr(here, "cpu", lambda: "Apple M2 Max")
    monkeypatch.setattr(here, "memory_bytes", lambda: 64 << 30)
    (gpu,) = apple_gpu(here)
    assert (gpu.name, gpu.memory_bytes) == ("Apple M2 Max GPU", 64 << 30)
    assert gpu.bandwidth_bytes_per_s == 400e9
    assert gpu.bandwidth_source


class Nvml:
    """The shape of pynvml with one RTX 3090. Stands in for no driver: it only tests the reading."""

    NVML_CLOCK_MEM = 2

    def __init__(self, broken: frozenset[str] = frozenset()) -> None:
        self.broken = broken
        self.open = False

    def _call(self, name: str) -> None:
        if name in self.broken:
            raise RuntimeError(f"{name}: Not Supported")

    def nvmlInit(self) -> None:  # noqa: N802
        self._call("init")
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        self._call("driver")
        return b"570.1"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._call("count")
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, device: object) -> str:  # noqa: N802
        self._call("name")
        return "NVIDIA GeForce RTX 3090"

    def nvmlDeviceGetMemoryInfo(self, device: object) -> SimpleNamespace:  # noqa: N802
        self._call("memory")
        return SimpleNamespace(total=24 << 30)

    def nvmlDeviceGetMaxClockInfo(self, device: object, clock: int) -> int:  # noqa: N802
        self._call("clock")
        assert clock == self.NVML_CLOCK_MEM
        return 9751

    def nvmlDeviceGetMemoryBusWidth(self, device: object) -> int:  # noqa: N802
        self._call("bus")
        return 384


def test_nvidia_bandwidth_is_the_published_one() -> None:
    nvml = Nvml()
    (gpu,) = read_gpus(nvml)
    assert gpu.name == "NVIDIA GeForce RTX 3090"
    assert gpu.memory_bytes == 24 << 30
    assert gpu.bandwidth_bytes_per_s == pytest.approx(936e9, rel=1e-3)
    assert gpu.bandwidth_source == SOURCE
    assert gpu.driver == "570.1"
    assert not nvml.open


@pytest.mark.parametrize("broken", ["driver", "name", "memory", "clock", "bus"])
def test_a_reading_that_nvml_refuses_is_none(broken: str) -> None:
    (gpu,) = read_gpus(Nvml(frozenset({broken})))
    assert (gpu.driver is None) == (broken == "driver")
    assert (gpu.memory_bytes is None) == (broken == "memory")
    assert gpu.bandwidth_bytes_per_s == pytest.approx(936e9, rel=1e-3)
    from_table = broken in {"clock", "bus"}
    assert gpu.bandwidth_source is not None
    assert gpu.bandwidth_source == (TABLE if from_table else SOURCE)


def test_a_gpu_that_nobody_knows_has_no_bandwidth() -> None:
    (gpu,) = read_gpus(Nvml(frozenset({"clock", "name"})))
    assert gpu.name == "NVIDIA GPU"
    assert (gpu.bandwidth_bytes_per_s, gpu.bandwidth_source) == (None, None)


@pytest.mark.parametrize("broken", ["init", "count"])
def test_without_a_driver_there_is_no_gpu(broken: str) -> None:
    assert read_gpus(Nvml(frozenset({broken}))) == ()
    assert read_gpus(None) == ()


def test_a_broken_nvml_package_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert load_nvml() is None
