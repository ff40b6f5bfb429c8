"""Real servers as somebody else starts them, for bench to attach to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runners.base.process import free_port

STOP_S = 20


@contextlib.contextmanager
def started(
    argv: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A command with `--port` behind its arguments, and its address. It may not be up yet."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_up(address: str, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Until `/health` answers."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/health", timeout=5) as reply,
        ):
            if reply.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"{address} is not up after {timeout_s:g} s")
