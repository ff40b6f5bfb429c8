"""Which way of reading event streams stamps them best, and at what cost?

    python benchmarks/stream_client.py

Prints, for each way of reading and each load, how long after its sending an event was stamped, and
the CPU time of the reading process. All ways are measured in one run: each in a process of its
own, one after the other, in shuffled order over several rounds. Every figure is that of the least
disturbed round, the smallest of all: other work on the machine only ever adds. Takes about a
minute. Needs aiohttp, httpx and h11 beside the project; what is missing is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from stream_candidates import CANDIDATES, Read

ROUNDS = 8


@dataclass(frozen=True)
class Load:
    name: str
    streams: int
    events: int
    period_s: float


# All streams in step, as from a server that decodes them in one batch.
LOADS = (
    Load("1 stream, an event every 2 ms", 1, 100, 0.002),
    Load("64 streams, an event every 20 ms on each", 64, 10, 0.02),
    Load("256 streams, an event every 40 ms on each", 256, 5, 0.04),
)


@dataclass(frozen=True)
class Round:
    """What one round showed: delays in seconds, CPU seconds per token."""

    median: float
    p99: float
    worst: float
    cpu: float


# ---- the reading process -----------------------------------------------------------------------


class Account:
    """What came in: delays in seconds, and the process's CPU time at the first event."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.cpu_begin = 0.0

    def take(self, at: float, data: str) -> None:
        if not self.delays:
            self.cpu_begin = time.process_time()
        # Any client has to parse what it reads, so this is part of the load.
        if data != "[DONE]":
            self.delays.append(at - float(json.loads(data)["sent"]))


async def read_load(read: Read, url: str, load: Load) -> Round:
    """One round of one load; CPU time counts from the first event on."""
    account = Account()
    payload = {"streams": load.streams, "events": load.events, "period_s": load.period_s}
    cpu_begin = time.process_time()
    await asyncio.gather(*(read(url, payload, account.take) for _ in range(load.streams)))
    if len(account.delays) != load.streams * load.events:
        sys.exit(f"{len(account.delays)} events came in, not {load.streams * load.events}")
    if read.__qualname__.startswith("stamps_only"):
        # It takes everything at the end.
        account.cpu_begin = cpu_begin
    cpu_s = time.process_time() - account.cpu_begin
    delays = sorted(account.delays)
    return Round(
        median=statistics.median(delays),
        p99=delays[int(len(delays) * 0.99)],
        worst=delays[-1],
        cpu=cpu_s / len(delays),
    )


async def child(name: str, url: str) -> None:
    """One candidate: answers each line on standard input, the number of a load, with a line."""
    try:
        read = CANDIDATES[name]()
    except ImportError as error:
        print(json.dumps(error.name), flush=True)
        return
    print(json.dumps(None), flush=True)
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(asdict(await read_load(read, url, LOADS[int(line)]))), flush=True)


# ---- the measuring process ---------------------------------------------------------------------


class Candidate:
    """One way of reading, in a process of its own."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, name, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.missing: str | None = json.loads(self.process.stdout.readline())
        self.rounds: list[list[Round]] = [[] for _ in LOADS]

    def measure(self, load: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(load, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} gave up: see above")
        self.rounds[load].append(Round(**json.loads(line)))


def least(rounds: list[Round]) -> Round:
    """Each figure of the round in which it was smallest."""
    return Round(
        median=min(one.median for one in rounds),
        p99=min(one.p99 for one in rounds),
        worst=min(one.worst for one in rounds),
        cpu=min(one.cpu for one in rounds),
    )


def table(load: int, candidates: list[Candidate]) -> str:
    base = least(candidates[0].rounds[load])
    lines = [
        "",
        LOADS[load].name,
        "",
        "| read with | delay, µs: median | p99 | max | median, ratio "
        "| CPU s per 1,000 tokens | CPU, ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in candidates:
        got = least(one.rounds[load])
        cells = [
            one.name,
            *(f"{seconds * 1e6:,.0f}" for seconds in (got.median, got.p99, got.worst)),
            f"{got.median / base.median:.2f}",
            f"{got.cpu * 1e3:.3f}",
            f"{got.cpu / base.cpu:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    with contextlib.ExitStack() as stack:
        server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("stream_server.py")],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        candidates = []
        for name in CANDIDATES:
            candidate = Candidate(name, url)
            stack.callback(candidate.process.wait)
            stack.callback(candidate.process.kill)
            if candidate.missing is None:
                candidates.append(candidate)
            else:
                print(f"{name} is left out: pip install {candidate.missing}", file=sys.stderr)
        order = random.Random(0)
        for _ in range(ROUNDS):
            for load in range(len(LOADS)):
                for candidate in order.sample(candidates, len(candidates)):
                    candidate.measure(load)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {ROUNDS} rounds")
        for load in range(len(LOADS)):
            print(table(load, candidates))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(child(*sys.argv[1:]))
    else:
        main()
