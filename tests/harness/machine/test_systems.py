from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from harness.machine.darwin import Darwin, run_command
from harness.machine.system import System
from harness.machine.this_system import this_system

linux_only = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def cache(cpu: int, index: int, level: int, kind: str, size: str, shared: str) -> dict[str, str]:
    at = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
    return {
        f"{at}/level": f"{level}\n",
        f"{at}/type": f"{kind}\n",
        f"{at}/size": f"{size}\n",
        f"{at}/shared_cpu_list": f"{shared}\n",
    }


def test_what_holds_everywhere() -> None:
    here = System()
    assert here.threads() >= here.physical_cores() >= 1
    assert 0 < here.available_memory_bytes() <= here.memory_bytes()
    assert here.last_level_cache_bytes() is None
    assert here.is_virtual() is None
    assert here.cpu()


def test_this_system_refines_it() -> None:
    here = this_system()
    assert isinstance(here, System)
    assert here.threads() >= here.physical_cores() >= 1
    assert here.memory_bytes() <= psutil.virtual_memory().total


@linux_only
class TestLinux:
    def linux(self, root: Path, cpus: set[int], monkeypatch: pytest.MonkeyPatch) -> System:
        from harness.machine.linux import Linux

        monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)
        return Linux(root)

    def test_names_the_processor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = self.linux(tmp_path, {0}, monkeypatch)
        write(tmp_path, {"proc/cpuinfo": "processor : 0\nmodel name\t: A: CPU @ 2 GHz\n"})
        assert here.cpu() == "A: CPU @ 2 GHz"
        write(tmp_path, {"proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xd85\n"})
        assert here.cpu() == "ARM implementer 0x41 part 0xd85"
        write(tmp_path, {"proc/cpuinfo": "nothing known"})
        assert here.cpu() == System().cpu()

    def test_caches_of_all_sockets_are_added(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = self.linux(tmp_path, {0}, monkeypatch)
        assert here.last_level_cache_bytes() is None
        for cpu, shared in ((0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")):
            write(tmp_path, cache(cpu, 0, 1, "Data", "48K", str(cpu)))
            write(tmp_path, cache(cpu, 1, 3, "Unified", "107520K", shared))
            write(tmp_path, cache(cpu, 2, 4, "Instruction", "1G", shared))
        assert here.last_level_cache_bytes() == 2 * 107520 * 1024

    @pytest.mark.parametrize("size", ["", "K", "x", "12", "-1K"])
    def test_a_strange_cache_size_is_no_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
    ) -> None:
        write(tmp_path, cache(0, 0, 3, "Unified", size, "0"))
        assert self.linux(tmp_path, {0}, monkeypatch).last_level_cache_bytes() is None

    def test_hyperthreads_are_one_core(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        for cpu, siblings in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
            write(tmp_path, {at.format(cpu): siblings})
        here = self.linux(tmp_path, {0, 1, 2, 3}, monkeypatch)
        assert (here.physical_cores(), here.threads()) == (2, 4)
        here = self.linux(tmp_path, {0, 2}, monkeypatch)
        assert (here.physical_cores(), here.threads()) == (1, 2)

    def test_a_quota_limits_the_threads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = self.linux(tmp_path, set(range(64)), monkeypatch)
        assert here.threads() == 64
        write(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000\n"})
        assert here.threads() == 64
        write(tmp_path, {"sys/fs/cgroup/cpu.max": "150000 100000\n"})
        assert here.threads() == 2
        assert here.physical_cores() <= 2

    def test_an_old_quota_limits_the_threads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = self.linux(tmp_path, set(range(64)), monkeypatch)
        group = "sys/fs/cgroup/cpu/cpu.cfs_"
        write(tmp_path, {f"{group}quota_us": "-1\n", f"{group}period_us": "100000\n"})
        assert here.threads() == 64
        write(tmp_path, {f"{group}quota_us": "300000\n"})
        assert here.threads() == 3

    def test_memory_of_the_control_group(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = self.linux(tmp_path, {0}, monkeypatch)
        write(tmp_path, {"sys/fs/cgroup/memory.max": "max\n"})
        assert here.memory_bytes() == psutil.virtual_memory().total
        write(tmp_path, {"sys/fs/cgroup/memory.max": "1000000\n"})
        write(tmp_path, {"sys/fs/cgroup/memory.current": "400000\n"})
        assert here.memory_bytes() == 1_000_000
        assert here.available_memory_bytes() == 600_000

    @pytest.mark.parametrize(
        ("limit", "used", "stat", "key"),
        [
            ("memory.max", "memory.current", "memory.stat", "inactive_file"),
            (
                "memory/memory.limit_in_bytes",
                "memory/memory.usage_in_bytes",
                "memory/memory.stat",
                "total_inactive_file",
            ),
        ],
    )
    def test_files_that_were_read_leave_the_memory_free(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        limit: str,
        used: str,
        stat: str,
        key: str,
    ) -> None:
        here = self.linux(tmp_path, {0}, monkeypatch)
        at = "sys/fs/cgroup"
        write(tmp_path, {f"{at}/{limit}": "1000000\n", f"{at}/{used}": "950000\n"})
        assert here.available_memory_bytes() == 50_000
        write(tmp_path, {f"{at}/{stat}": f"anon 50000\nactive_file 7\n{key} 900000\n"})
        assert here.available_memory_bytes() == 950_000
        # The two files are not read in one moment.
        write(tmp_path, {f"{at}/{stat}": f"{key} 999999\n"})
        assert here.available_memory_bytes() == 1_000_000
        write(tmp_path, {f"{at}/{stat}": f"{key} many\n"})
        assert here.available_memory_bytes() == 50_000

    def test_virtual_machines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = self.linux(tmp_path, {0}, monkeypatch)
        assert here.is_virtual() is None
        write(tmp_path, {"sys/class/dmi/id/sys_vendor": "QEMU\n"})
        assert here.is_virtual() is True
        write(tmp_path, {"proc/cpuinfo": "flags : fpu sse2\n"})
        assert here.is_virtual() is False
        write(tmp_path, {"proc/cpuinfo": "flags : fpu hypervisor sse2\n"})
        assert here.is_virtual() is True


class TestDarwin:
    """Against recorded answers: no Mac takes part in these tests."""

    def darwin(self, answers: dict[str, str]) -> Darwin:
        def run(command: Sequence[str]) -> str:
            return answers.get(command[-1] if "sysctl" in command[0] else command[0], "")

        return Darwin(run)

    def test_reads_sysctl(self) -> None:
        here = self.darwin(
            {
                "machdep.cpu.brand_string": "Apple M4 Max",
                "hw.l3cachesize": "0",
                "hw.perflevel0.l2cachesize": "16777216",
                "kern.hv_vmm_present": "0",
                "/usr/sbin/ioreg": '  | "gpu-core-count" = 40\n',
            }
        )
        assert here.cpu() == "Apple M4 Max"
        assert here.last_level_cache_bytes() == 16 << 20
        assert here.is_virtual() is False
        assert here.apple_gpu_cores() == 40

    def test_knows_nothing_where_sysctl_says_nothing(self) -> None:
        here = self.darwin({})
        assert here.cpu() == System().cpu()
        assert here.last_level_cache_bytes() is None
        assert here.is_virtual() is None
        assert here.apple_gpu_cores() is None

    def test_commands_that_fail_say_nothing(self) -> None:
        assert run_command(["/nonexistent/sysctl"]) == ""
        assert run_command(["/bin/sh", "-c", "echo half; exit 1"]) == ""
        assert run_command(["/bin/sh", "-c", "echo ' whole '"]) == "whole"
