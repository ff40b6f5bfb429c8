"""Real processes: nothing that a runner started is left, whatever ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runners.base.contract import RequestError, StartError
from runners.base.process import Process, describe_exit, free_port, log_tail

PYTHON = sys.executable


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process ends within the time; a zombie counts as ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


async def test_first_lines_and_clean_stop(tmp_path: Path) -> None:
    code = "import time; print('one'); print('two', flush=True); time.sleep(60)"
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log")
    assert await process.read_line(10) == "one"
    assert await process.read_line(10) == "two"
    assert process.ended() is None
    assert psutil.pid_exists(process.pid)
    await process.stop()
    assert process.ended() == "was killed by SIGTERM"
    assert gone(process.pid, 0.5)
    await process.stop()


async def test_death_by_signal_is_named_and_the_log_kept(tmp_path: Path) -> None:
    code = "import os,sys; print('it hurts', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)"
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log")
    with pytest.raises(StartError, match="was killed by SIGSEGV") as caught:
        await process.read_line(10)
    assert caught.value.log_tail == "it hurts"
    await process.stop()


async def test_exit_status_passes_through(tmp_path: Path) -> None:
    process = await Process.start([PYTHON, "-c", "raise SystemExit(7)"], log=tmp_path / "log")
    with pytest.raises(StartError, match="exited with status 7"):
        await process.read_line(10)
    # Asking again tells the same instead of waiting for ever.
    with pytest.raises(StartError, match="exited with status 7"):
        await process.read_line(10)
    await process.stop()


async def test_command_that_does_not_exist(tmp_path: Path) -> None:
    process = await Process.start(["/no/such/program"], log=tmp_path / "log")
    with pytest.raises(StartError, match="exited with status 127") as caught:
        await process.read_line(10)
    assert "cannot start /no/such/program: No such file or directory" in caught.value.log_tail
    await process.stop()


async def test_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file or directory"):
        await Process.start([PYTHON, "-c", "pass"], log=tmp_path / "none" / "log")


async def test_an_argument_that_no_process_can_take(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be passed on: embedded null byte"):
        await Process.start([PYTHON, "-c", "pass\0"], log=tmp_path / "log")


async def test_silence_is_an_error(tmp_path: Path) -> None:
    process = await Process.start(
        [PYTHON, "-c", "import time; time.sleep(60)"], log=tmp_path / "log"
    )
    with pytest.raises(StartError, match=r"said nothing for 0\.2 s"):
        await process.read_line(0.2)
    await process.stop()
    assert gone(process.pid, 0.5)


async def test_command_that_ignores_term_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);time.sleep(60)"
    )
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log", grace_s=0.3)
    await process.read_line(10)
    await process.stop()
    assert process.ended() == "was killed by SIGKILL"


CHILDREN = """
import subprocess, sys, time
same = subprocess.Popen(["sleep", "60"])
other = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(same.pid, other.pid, flush=True)
time.sleep(60)
"""


async def test_one_term_is_enough(tmp_path: Path) -> None:
    """To llama-server a second one means to drop everything where it stands."""
    code = (
        "import signal, sys, time\n"
        "told = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: told.append(1))\n"
        "print('ready', flush=True)\n"
        "while not told: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print(f'told {len(told)} times', file=sys.stderr, flush=True)\n"
    )
    log = tmp_path / "log"
    process = await Process.start([PYTHON, "-c", code], log=log)
    assert await process.read_line(10) == "ready"
    await process.stop()
    assert log.read_text() == "told 1 times\n"


async def test_the_address_is_found_among_other_lines(tmp_path: Path) -> None:
    code = (
        "print('[New LWP 3889]'); print('[1, 2]'); print('{}')\n"
        'print(\'{"listening": "http://127.0.0.1:1"}\', flush=True)'
    )
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log")
    assert await process.read_address(10) == "http://127.0.0.1:1"
    with pytest.raises(StartError, match="exited with status 0"):
        await process.read_address(10)
    await process.stop()


async def test_children_are_ended_too(tmp_path: Path) -> None:
    process = await Process.start([PYTHON, "-c", CHILDREN], log=tmp_path / "log")
    same, other = map(int, (await process.read_line(10)).split())
    await process.stop()
    assert gone(same, 0.5)
    if sys.platform == "linux":  # Elsewhere a child that leaves the group gets away.
        assert gone(other, 0.5)


async def test_children_of_a_crashed_command_are_ended(tmp_path: Path) -> None:
    code = CHILDREN.replace("time.sleep(60)", "import os; os.kill(os.getpid(), 6)")
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log")
    same, _ = map(int, (await process.read_line(10)).split())
    with pytest.raises(StartError, match="was killed by SIGABRT"):
        await process.read_line(10)
    assert gone(same, 0.5)
    await process.stop()


HARNESS = """
import asyncio, sys
from pathlib import Path
from runners.base.process import Process

async def main():
    process = await Process.start([sys.executable, "-c", sys.argv[2]], log=Path(sys.argv[1]))
    print(process.pid, await process.read_line(30), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_killed_harness(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [PYTHON, "-c", HARNESS, str(tmp_path / "log"), CHILDREN],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A shell's background jobs ignore Ctrl-C, and what they start inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as harness:
        assert harness.stdout is not None
        command, same, other = map(int, harness.stdout.readline().split())
        supervisor = psutil.Process(command).ppid()
        os.kill(harness.pid, number)
        harness.wait(10)
        assert gone(command)
        assert gone(same)
        assert gone(supervisor)
        if sys.platform == "linux":
            assert gone(other)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_killed_supervisor_takes_the_command_along(tmp_path: Path) -> None:
    process = await Process.start(
        [PYTHON, "-c", "print(1, flush=True); import time; time.sleep(60)"], log=tmp_path / "log"
    )
    await process.read_line(10)
    os.kill(psutil.Process(process.pid).ppid(), signal.SIGKILL)
    assert await asyncio.to_thread(gone, process.pid)
    await process.stop()


async def test_cancelled_stop_is_carried_through(tmp_path: Path) -> None:
    code = (
        "import signal,time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);time.sleep(60)"
    )
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log", grace_s=0.5)
    await process.read_line(10)
    stopping = asyncio.create_task(process.stop())
    await asyncio.sleep(0.1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert process.ended() == "was killed by SIGKILL"


@pytest.mark.slow
async def test_lost_connection_of_a_living_command_is_left_as_it_is(tmp_path: Path) -> None:
    process = await Process.start(
        [PYTHON, "-c", "import time; time.sleep(60)"], log=tmp_path / "log"
    )
    error = RequestError("garbage", server_lost=False)
    assert await process.explain(error) is error
    await process.stop()


async def test_output_nobody_reads_does_not_block_the_command(tmp_path: Path) -> None:
    code = "print('go'); print('x' * 5_000_000); import sys; print('done', file=sys.stderr)"
    process = await Process.start([PYTHON, "-c", code], log=tmp_path / "log")
    assert await process.read_line(10) == "go"
    process.stop_listening()
    lost = await process.explain(RequestError("broken off", server_lost=True))
    assert str(lost) == "the runner exited with status 0 during the request"
    assert log_tail(tmp_path / "log") == "done"
    await process.stop()


def test_describe_exit() -> None:
    assert describe_exit(3) == "exited with status 3"
    assert describe_exit(-9) == "was killed by SIGKILL"
    assert describe_exit(-200) == "was killed by signal 200"


def test_log_tail(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "none") == ""
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"\xff" * 1000 + b"\nlast\n")
    lines = log_tail(log, lines=2).splitlines()
    assert lines[1] == "last"
    assert len(lines[0]) == 400


def test_free_port_can_be_bound() -> None:
    assert 1024 <= free_port() <= 65535
