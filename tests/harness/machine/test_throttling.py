from __future__ import annotations

from pathlib import Path

import pytest

from harness.machine.throttling import IDLE, Thermometer, Throttling

HEAT, CAP, AS_ASKED = 0x40, 0x4, 0x2


class Gpus:
    """pynvml on a machine with these GPUs: (reasons, clock, degrees); None cannot be read."""

    def __init__(self, *gpus: tuple[int | None, int | None, int | None]) -> None:
        self.gpus = gpus
        self.opened = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        return index

    def _told(self, gpu: object, what: int) -> int:
        assert isinstance(gpu, int)
        value = self.gpus[gpu][what]
        if value is None:
            raise RuntimeError("not supported")
        return value

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device: object) -> int:  # noqa: N802
        return self._told(device, 0)

    def nvmlDeviceGetClockInfo(self, device: object, clock: int) -> int:  # noqa: N802
        assert clock == 1
        return self._told(device, 1)

    def nvmlDeviceGetTemperature(self, device: object, sensor: int) -> int:  # noqa: N802
        assert sensor == 0
        return self._told(device, 2)


def add_cpu(root: Path, number: int, *, core: str, package: str, counts: tuple[int, int]) -> None:
    cpu = root / f"sys/devices/system/cpu/cpu{number}"
    for folder, name, text in (
        ("topology", "thread_siblings_list", core),
        ("topology", "physical_package_id", package),
        ("thermal_throttle", "core_throttle_count", str(counts[0])),
        ("thermal_throttle", "package_throttle_count", str(counts[1])),
    ):
        (cpu / folder).mkdir(parents=True, exist_ok=True)
        (cpu / folder / name).write_text(f"{text}\n")


def test_each_core_and_package_counts_once(tmp_path: Path) -> None:
    for number, core in enumerate(("0,2", "1,3", "0,2", "1,3")):
        add_cpu(tmp_path, number, core=core, package="0", counts=(10 + number % 2, 100))
    thermometer = Thermometer(tmp_path, None)
    before = thermometer.read()
    assert before == Throttling(cpu_events=10 + 11 + 100)
    for number in (1, 3):
        add_cpu(tmp_path, number, core="1,3", package="0", counts=(14, 100))
    assert thermometer.read().since(before).cpu_events == 3


def test_a_machine_that_tells_nothing_has_nothing(tmp_path: Path) -> None:
    assert Thermometer(tmp_path, None).read() == Throttling()
    assert Thermometer(tmp_path, Gpus()).read() == Throttling()


def test_only_gpus_at_work_hold_anybody_back(tmp_path: Path) -> None:
    nvml = Gpus((HEAT | CAP | AS_ASKED, 1200, 90), (IDLE | HEAT, 300, 40), (0, 1980, 60))
    thermometer = Thermometer(tmp_path, nvml)
    found = thermometer.read()
    assert found == Throttling(
        gpu_reasons=("heat, by hardware", "power cap"), gpu_clock_mhz=1200, gpu_temperature_c=90
    )
    assert thermometer.read() == found
    assert nvml.opened == 1


def test_clocks_that_somebody_set_are_not_held_back(tmp_path: Path) -> None:
    assert Thermometer(tmp_path, Gpus((AS_ASKED, 900, 50))).read().gpu_reasons == ()


@pytest.mark.parametrize(
    ("gpu", "found"),
    [
        ((None, None, None), Throttling()),
        ((None, 1500, 70), Throttling(gpu_temperature_c=70)),
        ((0, None, None), Throttling(gpu_reasons=())),
    ],
)
def test_what_a_driver_does_not_support_is_not_told(tmp_path: Path, gpu, found) -> None:
    assert Thermometer(tmp_path, Gpus(gpu)).read() == found


def test_two_readings_say_what_either_said() -> None:
    before = Throttling(cpu_events=4, gpu_reasons=("power cap",), gpu_clock_mhz=1000)
    after = Throttling(cpu_events=4, gpu_reasons=("heat, by hardware",), gpu_clock_mhz=1100)
    assert after.since(before) == Throttling(
        cpu_events=0, gpu_reasons=("heat, by hardware", "power cap"), gpu_clock_mhz=1100
    )
    assert after.since(Throttling()) == Throttling(gpu_clock_mhz=1100)
