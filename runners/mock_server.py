"""A server that pretends to decode: its timing, bursts and faults are written in a script.

Run as `python -m runners.mock_server CONFIG_JSON`. It is a real process with a real socket, and
says in every answer when its steps were really written: what a client measures can be held
against that. The times are `time.perf_counter`, which all processes of one machine share.

    GET  /metrics    totals of speculation, as Prometheus text
    GET  /props      which method is really on
    POST /generate   {"messages": [...], "max_tokens": n, "temperature": t, "seed": s,
                      "probe": false} -> server-sent events; the last one has "done": true
    POST /next       {"messages": [...], "written": [ids], "count": n} -> {"top": [[id, logprob],
                      ...]}: what it finds likely there, likeliest first
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypedDict

FAULTS: dict[str, str] = {
    "none": "no fault",
    "die-at-start": "exits with status 1 before it listens",
    "hang-at-start": "never gets ready",
    "die-in-request": "is killed by SIGSEGV half-way through an answer",
    "hang-in-request": "falls silent half-way through an answer",
    "garbage": "breaks HTTP's framing half-way through an answer",
    "http-500": "answers with HTTP status 500",
    "refuse-speculation": "serves, but without the speculation it was asked for",
    "drafts-nothing": "says that speculation is on, drafts nothing, and logs why",
    "miscounts": "its counters tell of one draft token a step more than its answers do",
    "hides-probabilities": "does not tell how likely a token is",
    "slow-death": "breaks off half-way through an answer and dies 2 s later, deaf to SIGTERM",
}
WRITES = ("token", "step")

SPIN_S = 0.0005
"""The end of each wait, spent looking at the clock: sleeping alone is up to 0.1 ms late."""
SYLLABLES = [c + v for c in "bcdfghjklmnprstv" for v in "aeiou"]
VOCABULARY = len(SYLLABLES) ** 2
END = VOCABULARY
"""The token that ends a text, which is never sent."""
DRAFTS_NOTHING = "mock: no drafts: told to draft nothing"
"""What the log says under that fault."""


@dataclass(frozen=True)
class Script:
    """All that decides how the mock behaves. Milliseconds as the user gives them."""

    method: str = "none"
    draft_tokens: int = 0
    """k; 0 for plain decoding."""
    seed: int = 0
    step_ms: float = 10.0
    """Of a plain step."""
    verify_ms_per_row: tuple[float, ...] = (0.0,)
    """Added for the first draft token that a step verifies, for the second, and so on; the last
    value goes for all further ones."""
    prefill_ms: float = 20.0
    prefill_ms_per_token: float = 0.0
    acceptance: tuple[float, ...] = (0.7,)
    """Probability that position i is accepted, given that those before it were; the last value
    goes for all further positions."""
    hard_acceptance: tuple[float, ...] = ()
    """The same for prompts that contain the word 'hard'; nothing: they are as all others."""
    bursts: tuple[int, ...] = ()
    """Tokens of each step, from the first on and over again; at most k + 1 are made of it."""
    first_burst: int | None = None
    """Tokens of the first step, where it shall differ."""
    start_ms: float = 0.0
    output_tokens: int | None = None
    """Where the text ends by itself."""
    write: str = "token"
    jitter_ms: float = 0.0
    """Each step is longer or shorter by up to this much."""
    noise: float = 0.0
    """How much the times of requests differ by luck, as a share, and half as much those of whole
    launches; with heavy tails, and never twice the same."""
    diverge_at: int | None = None
    """The first token, from 0, that comes out wrong under speculation."""
    margin: float = 3.0
    """How far the wrong token's log-probability stands below the right one's."""
    draft_limit: int | None = None
    """The longest draft it makes, whatever it was asked for."""
    fault: str = "none"
    fault_after: int = 0
    """Requests that succeed before the fault sets in, probes not counted."""

    @classmethod
    def from_json(cls, text: str) -> Script:
        fields = json.loads(text)
        for name in ("verify_ms_per_row", "acceptance", "hard_acceptance", "bursts"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields)

    def to_json(self) -> str:
        """Only what differs from the defaults."""
        return json.dumps(
            {
                field.name: getattr(self, field.name)
                for field in dataclasses.fields(self)
                if getattr(self, field.name) != field.default
            }
        )

    @property
    def speculates(self) -> bool:
        return self.method != "none" and self.fault != "refuse-speculation"


class ChatMessage(TypedDict):
    role: str
    content: str


class Asked(TypedDict):
    """The body of a request to /generate."""

    messages: list[ChatMessage]
    max_tokens: int
    temperature: float
    seed: int
    probe: bool


@dataclass(frozen=True)
class Step:
    """One forward pass: the tokens it yields and when it ends, in seconds after the request."""

    due: float
    drafted: int
    tokens: tuple[int, ...]

    @property
    def accepted(self) -> int:
        return len(self.tokens) - 1


def word(token: int) -> str:
    return f" {SYLLABLES[token // len(SYLLABLES)]}{SYLLABLES[token % len(SYLLABLES)]}"


def count_prompt(messages: list[ChatMessage]) -> int:
    """Prompt tokens: words, and one for each role."""
    return sum(1 + len(message["content"].split()) for message in messages)


def text_tokens(script: Script, asked: Asked) -> list[int]:
    """The token ids of the answer. Greedy ones depend on the prompt and the position alone."""
    key = json.dumps(asked["messages"])
    if asked["temperature"] > 0:
        key += f" {asked['seed']}"
    draw = random.Random(key)  # noqa: S311
    length = asked["max_tokens"]
    if script.output_tokens is not None:
        length = min(length, script.output_tokens)
    tokens = [draw.randrange(VOCABULARY) for _ in range(length)]
    if script.diverge_at is not None and script.speculates:
        wrong = [wrong_token(token) for token in tokens[script.diverge_at :]]
        tokens[script.diverge_at :] = wrong
    return tokens


def wrong_token(token: int) -> int:
    return (token + 1) % VOCABULARY


def likely_tokens(
    script: Script, asked: Asked, written: int, count: int
) -> list[tuple[int, float]]:
    """(id, log-probability), likeliest first, after so many tokens of the plain answer.

    The right token and, `margin` below it, the wrong one; then others, one unit apart.
    """
    tokens = text_tokens(dataclasses.replace(script, diverge_at=None), asked)
    best = tokens[written] if written < len(tokens) else END
    logits = [0.0, -script.margin, *(-script.margin - n for n in range(1, 20))]
    total = math.log(sum(map(math.exp, logits)))
    ids = [best, *(wrong_token(best + n) for n in range(len(logits) - 1))]
    return [(token, logit - total) for token, logit in zip(ids, logits, strict=True)][:count]


def plan_steps(script: Script, asked: Asked, number: int, *, drafts: bool) -> list[Step]:
    """What the script makes of request number `number`; `drafts` False: one token a step."""
    tokens = text_tokens(script, asked)
    accepts = random.Random(f"{script.seed} {json.dumps(asked['messages'])}")  # noqa: S311
    jitter = random.Random(f"{script.seed} {number}")  # noqa: S311
    due = (script.prefill_ms + script.prefill_ms_per_token * count_prompt(asked["messages"])) / 1e3
    acceptance = script.acceptance
    if script.hard_acceptance and any("hard" in m["content"] for m in asked["messages"]):
        acceptance = script.hard_acceptance
    steps: list[Step] = []
    done = 0
    while done < len(tokens):
        first = not steps
        # As in real runners, no more is drafted than the answer has room for.
        longest = script.draft_tokens
        if script.draft_limit is not None:
            longest = min(longest, script.draft_limit)
        rows = min(longest, asked["max_tokens"] - done - 1) if drafts else 0
        if first and script.first_burst is not None:
            wish = script.first_burst
        elif script.bursts:
            wish = script.bursts[len(steps) % len(script.bursts)]
        elif first:
            wish = 1
        else:
            wish = 1 + _accepted_in_a_row(acceptance, rows, accepts)
        if first and wish == 1:
            rows = 0
        if not first:
            length = script.step_ms + sum(_each(script.verify_ms_per_row, rows))
            if script.jitter_ms:
                length += jitter.uniform(-script.jitter_ms, script.jitter_ms)
            due += max(0.0, length) / 1e3
        size = min(wish, 1 + rows, len(tokens) - done)
        steps.append(Step(due, rows, tuple(tokens[done : done + size])))
        done += size
    return steps


def _accepted_in_a_row(acceptance: tuple[float, ...], rows: int, draw: random.Random) -> int:
    for position, chance in enumerate(_each(acceptance, rows)):
        if draw.random() >= chance:
            return position
    return rows


def _each(values: tuple[float, ...], rows: int) -> list[float]:
    """A value for each of so many rows."""
    return [values[min(row, len(values) - 1)] for row in range(rows)]


def luck(noise: float) -> float:
    """A factor around 1: e to Student's t of 4 degrees of freedom, scaled to this deviation."""
    # The root of a chi-square's mean, over whose 4 degrees Student's t has a deviation of sqrt(2).
    spread = math.sqrt(random.gammavariate(2, 2) / 4)
    return math.exp(noise * random.gauss(0, 1) / spread / math.sqrt(2))


class Totals:
    """Counters since the start; several requests add to them at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drafted = self._accepted = self._steps = 0
        self._per_position: list[int] = []
        self._requests = 0

    def add(self, step: Step, *, miscounted: int = 0) -> None:
        with self._lock:
            self._drafted += step.drafted + miscounted
            self._accepted += step.accepted
            self._steps += 1
            missing = step.accepted - len(self._per_position)
            self._per_position += [0] * missing
            for position in range(step.accepted):
                self._per_position[position] += 1

    def take_number(self) -> int:
        """How many real requests came before this one."""
        with self._lock:
            self._requests += 1
            return self._requests - 1

    def page(self) -> str:
        with self._lock:
            lines = []
            for name, value in (
                ("draft_tokens", self._drafted),
                ("accepted_tokens", self._accepted),
                ("steps", self._steps),
            ):
                lines += [f"# TYPE mock:{name}_total counter", f"mock:{name}_total {value}"]
            name = "mock:accepted_tokens_per_position_total"
            lines.append(f"# TYPE {name} counter")
            for position, value in enumerate(self._per_position):
                lines.append(f'{name}{{position="{position}"}} {value}')
            return "\n".join([*lines, ""])


_spinning = threading.Lock()


def wait_until(due: float) -> None:
    """Return at `due`, within some microseconds unless another thread is waiting as closely."""
    left = due - time.perf_counter()
    if left > SPIN_S:
        time.sleep(left - SPIN_S)
    # Two threads that look at the clock would take the interpreter away from each other.
    if _spinning.acquire(blocking=False):
        try:
            while time.perf_counter() < due:
                pass
        finally:
            _spinning.release()
    elif (left := due - time.perf_counter()) > 0:
        time.sleep(left)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    script: Script
    totals: Totals
    slower: float
    """This launch's luck."""

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._reply(200, self.totals.page(), "text/plain; version=0.0.4")
        elif self.path == "/props":
            on = self.script.method if self.script.speculates else "none"
            self._reply(200, json.dumps({"speculation": on}), "application/json")
        else:
            self._refuse(404, f"no such page: {self.path}")

    def do_POST(self) -> None:
        received_at = time.perf_counter()
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path not in ("/generate", "/next"):
            self._refuse(404, f"no such page: {self.path}")
            return
        try:
            raw = json.loads(body)
            written, count = len(raw.get("written", ())), int(raw.get("count", 1))
            asked = Asked(
                messages=[
                    ChatMessage(role=str(m["role"]), content=str(m["content"]))
                    for m in raw["messages"]
                ],
                max_tokens=int(raw["max_tokens"]),
                temperature=float(raw.get("temperature", 0.0)),
                seed=int(raw.get("seed", 0)),
                probe=bool(raw.get("probe", False)),
            )
            if asked["max_tokens"] < 1:
                raise ValueError("max_tokens must be at least 1")
        except (ValueError, KeyError, TypeError) as error:
            self._refuse(400, f"not a request for tokens: {error!r}")
            return
        if self.path == "/next":
            self._tell_next(asked, written, count)
            return
        number = -1 if asked["probe"] else self.totals.take_number()
        fault = self.script.fault if number >= self.script.fault_after else "none"
        if fault == "http-500":
            self._refuse(500, "the mock was told to fail this request")
            return
        self._generate(asked, number, fault, received_at)

    def _tell_next(self, asked: Asked, written: int, count: int) -> None:
        if self.script.fault == "hides-probabilities":
            self._refuse(501, "the mock was told to hide probabilities")
            return
        top = likely_tokens(self.script, asked, written, count)
        self._reply(200, json.dumps({"top": top}), "application/json")

    def _generate(self, asked: Asked, number: int, fault: str, received_at: float) -> None:
        script = self.script
        drafts = script.speculates and fault != "drafts-nothing"
        steps = plan_steps(script, asked, number, drafts=drafts)
        slower = self.slower * luck(script.noise)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        first_at = last_at = 0.0
        for index, step in enumerate(steps):
            if index == len(steps) // 2:
                self._break(fault)
            chunks = self._chunks(index, step)
            wait_until(received_at + step.due * slower)
            last_at = time.perf_counter()
            first_at = first_at or last_at
            for chunk in chunks:
                # Not buffered, and TCP_NODELAY is on: one write is one send.
                self.wfile.write(chunk)
            self.totals.add(step, miscounted=fault == "miscounts")
        output = sum(len(step.tokens) for step in steps)
        truth = {
            "done": True,
            "finish": "stop" if output < asked["max_tokens"] else "length",
            "prompt_tokens": count_prompt(asked["messages"]),
            "output_tokens": output,
            "drafted": sum(step.drafted for step in steps),
            "accepted": sum(step.accepted for step in steps),
            "steps": len(steps),
            "first_burst": len(steps[0].tokens),
            "received_at": received_at,
            "first_step_at": first_at,
            "last_step_at": last_at,
        }
        self.wfile.write(_chunk(f"data: {json.dumps(truth)}\n\n".encode()) + b"0\r\n\r\n")

    def _chunks(self, index: int, step: Step) -> list[bytes]:
        """A step's events: one for all of its tokens, or one for each."""
        parts = [step.tokens] if self.script.write == "step" else [(t,) for t in step.tokens]
        events = [
            {"step": index, "tokens": part, "text": "".join(word(token) for token in part)}
            for part in parts
        ]
        return [_chunk(f"data: {json.dumps(event)}\n\n".encode()) for event in events]

    def _break(self, fault: str) -> None:
        if fault == "die-in-request":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
            # Another thread may be the one to take the signal: this one must not go on.
            threading.Event().wait()
        elif fault == "hang-in-request":
            threading.Event().wait()
        elif fault == "garbage":
            self.wfile.write(b"\x00\xff this is no chunk\r\n")
        elif fault == "slow-death":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.server.shutdown()

    def _refuse(self, status: int, message: str) -> None:
        self._reply(status, json.dumps({"error": {"message": message}}), "application/json")

    def _reply(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: the terminal's speed would be in the timing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is its own affair; other errors are printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m runners.mock_server CONFIG_JSON")
    script = Script.from_json(sys.argv[1])
    print(f"mock: {script}", file=sys.stderr, flush=True)
    if script.fault == "slow-death":
        # Here, not in the request: handlers can only be set by the main thread.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if script.speculates and script.fault == "drafts-nothing":
        print(DRAFTS_NOTHING, file=sys.stderr, flush=True)
    time.sleep(script.start_ms / 1e3)
    if script.fault == "die-at-start":
        sys.exit("mock: told to die at start")
    if script.fault == "hang-at-start":
        threading.Event().wait()
    Handler.script = script
    Handler.totals = Totals()
    Handler.slower = luck(script.noise / 2)
    server = Server(("127.0.0.1", 0), Handler)
    print(json.dumps({"listening": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()
    # Only 'slow-death' comes here.
    server.server_close()
    time.sleep(2)
    sys.exit("mock: told to die slowly")


if __name__ == "__main__":
    main()
