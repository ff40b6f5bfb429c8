"""Stands between the harness and a runner, so that no runner outlives the harness.

Run by path with `python -I -S supervisor.py GRACE_SECONDS COMMAND [ARGUMENT ...]`: it imports
nothing of the project, to start in milliseconds. It starts the command in a session of its own and
holds the harness's pipe as standard input. When that pipe closes, because the harness stopped the
runner or was itself killed, it ends the command's whole process group: TERM, a grace time, KILL.
It ends as the command did, by exit status or by signal. The first line on standard output is the
command's process id; after it the command owns standard output.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.01


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the process group alone has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def spawn(command: list[str]) -> int:
    """Fork and execute the command as the leader of a new session; its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # The supervisor died before the request above was made.
        os._exit(1)
    os.write(1, f"{os.getpid()}\n".encode())
    no_input = os.open(os.devnull, os.O_RDONLY)
    os.dup2(no_input, 0)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def orphans() -> list[int]:
    """Processes that this one has inherited or started, from /proc (Linux; empty elsewhere)."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return []
    return [int(pid) for pid in text.split()]


def reap(child: int, status: int | None) -> int | None:
    """Collect everything that has ended; the command's wait status once it is known."""
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = code


def send(target: int, number: int) -> bool:
    """Signal a process, or a group by its negative id; whether anything was there."""
    try:
        os.kill(target, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except OSError:
        return False


def end(group: int, grace_s: float, status: int | None) -> int:
    """End all that is left of the group, and what had left it; the command's wait status."""
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + patience
        send(-group, number)
        told: set[int] = set()
        status = reap(group, status)
        while (orphans() or send(-group, 0)) and time.monotonic() < deadline:
            # A process that left the group becomes ours to end once its parent has gone. Those in
            # it have the signal already, and to some a second one means to drop everything.
            for pid in orphans():
                if pid not in told and not in_group(pid, group):
                    send(pid, number)
                told.add(pid)
            time.sleep(POLL_S)
            status = reap(group, status)
    if status is None:
        sys.exit(f"process {group} could not be ended: it hangs in the kernel")
    return status


def leave_as(status: int) -> None:
    """End this process the way the command ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


def main() -> None:
    grace_s = float(sys.argv[1])
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    for end_of_pipe in (wake_read, wake_write):
        os.set_blocking(end_of_pipe, False)
    signal.set_wakeup_fd(wake_write)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: asked.append(received))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    child = spawn(sys.argv[2:])
    os.close(1)
    status = None
    while status is None and not asked:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        status = reap(child, status)
        if 0 in ready and not os.read(0, 4096):
            break
    leave_as(end(child, grace_s, status))


if __name__ == "__main__":
    main()
