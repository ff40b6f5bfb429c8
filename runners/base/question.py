"""Asks a program for what it prints and ends with, such as its help; nothing of it stays behind."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from runners.base.contract import RunnerError
from runners.base.process import SUPERVISOR, describe_exit

LONGEST_ANSWER = 4 << 20
"""Bytes of each of the two outputs."""
READ_SIZE = 1 << 16
GRACE_S = 0.0
"""A program that is not over in time has nothing worth waiting for."""


@dataclass(frozen=True)
class Answer:
    """A command that ended by itself."""

    returncode: int
    """As `subprocess` has it: negative for a signal."""
    out: str
    errors: str


def ask(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float) -> Answer:
    """Run a command to its end, under the supervisor.

    Raises:
        RunnerError: it cannot be started, had no end in time, or says too much; all that it had
            started is gone.
    """
    deadline = time.monotonic() + timeout_s
    process = subprocess.Popen(  # noqa: S603 - our own supervisor, by this very interpreter
        [sys.executable, "-I", "-S", str(SUPERVISOR), str(GRACE_S), *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(env),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as errors:
        try:
            said, complained = _read(out, errors, deadline)
        except TimeoutError:
            raise RunnerError(f"had no end after {timeout_s:g} s") from None
        finally:
            # The supervisor ends the command when its standard input closes.
            process.stdin.close()
            process.wait()
    # The supervisor's own words: the process id, and why there is none.
    _, _, said = said.partition("\n")
    refused = f"cannot start {argv[0]}: "
    if process.returncode == 127 and complained.startswith(refused):
        raise RunnerError(f"cannot be started: {complained.removeprefix(refused).strip()}")
    return Answer(process.returncode, said, complained)


def describe_child(
    argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What one of our children says of its library: `argv --describe` prints a line of JSON.

    In a process of its own, since a broken library crashes.

    Raises:
        RunnerError: why it does not; of a child that failed, its last word.
    """
    answer = ask([*argv, "--describe"], env=os.environ if env is None else env, timeout_s=timeout_s)
    if answer.returncode != 0:
        lines = answer.errors.strip().splitlines()
        raise RunnerError(lines[-1][:300] if lines else describe_exit(answer.returncode))
    try:
        said = json.loads(answer.out.splitlines()[-1])
    except (ValueError, LookupError, RecursionError) as error:
        raise RunnerError(f"says nothing that can be read: {error}"[:300]) from None
    if not isinstance(said, dict):
        raise RunnerError(f"says {said!r:.100} of itself")
    return said


def _read(out: IO[bytes], errors: IO[bytes], deadline: float) -> tuple[str, str]:
    """Both outputs to their ends.

    Raises:
        TimeoutError: they are still open at the deadline.
        RunnerError: one of them is too long.
    """
    read = {out.fileno(): bytearray(), errors.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for number in read:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                data = os.read(key.fd, READ_SIZE)
                if not data:
                    selector.unregister(key.fd)
                read[key.fd] += data
                if len(read[key.fd]) > LONGEST_ANSWER:
                    raise RunnerError(f"says more than {LONGEST_ANSWER >> 20} MiB")
    said, complained = (bytes(text).decode(errors="replace") for text in read.values())
    return said, complained
