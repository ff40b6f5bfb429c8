"""A program that answers as `mtplx` does, written from the source of mtplx 2.12.2, not recorded.

`mtplx serve` of that version runs on Apple silicon only. Its flags, /health, the stream of
/v1/completions and the counts in its last chunk are as cli.py, commands/public.py,
server/openai.py and generation.py have them; the text is made up. What it was started with, and
what it was asked, it writes beside its model, into `asked.jsonl`; `fake.json` there sets faults.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = "2.12.2"
WORDS = ["One ", "two ", "three, ", "four ", "and ", "five ", "are ", "numbers."]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("mtplx", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mtplx {VERSION}")
    serve = parser.add_subparsers(required=True).add_parser("serve")
    for flag in (
        "model",
        "host",
        "adaptive-policy",
        "ssd-session-cache",
        "profile",
    ):
        serve.add_argument(f"--{flag}")
    serve.add_argument("--generation-mode", choices=["mtp", "ar", "auto"])
    for flag, default in (("port", 8000), ("depth", 3), ("context-window", None)):
        serve.add_argument(f"--{flag}", type=int, default=default)
    for flag in ("no-stats-footer", "no-auth"):
        serve.add_argument(f"--{flag}", action="store_true")
    return parser.parse_args()


ARGUMENTS = arguments()
FOLDER = Path(ARGUMENTS.model)
FAULTS = json.loads((FOLDER / "fake.json").read_text()) if (FOLDER / "fake.json").exists() else {}


def note(what: dict[str, object]) -> None:
    with (FOLDER / "asked.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


def rounds(count: int, depth: int) -> list[tuple[int, ...]]:
    """Tokens of each callback: the prefill's, then what a draft is accepted of, then the target's.

    The second round accepts nothing, the others everything that is left.
    """
    told: list[tuple[int, ...]] = [(0,)]
    at, number = 1, 0
    while at < count:
        accepted = 0 if number == 1 else min(depth, count - at)
        if accepted:
            told.append(tuple(range(at, at + accepted)))
        at += accepted
        if at < count:
            told.append((at,))
            at += 1
        number += 1
    return told


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        launch = os.environ.get("MTPLX_APP_LAUNCH_ID")
        self.answer(
            {
                "ok": True,
                "model": "fake",
                "generation_mode": FAULTS.get("mode", ARGUMENTS.generation_mode),
                "depth": FAULTS.get("depth", ARGUMENTS.depth),
                "startup": {"launch_id": launch, "pid": os.getpid()},
            }
        )

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note({"request": asked, "controls": self.headers.get("X-MTPLX-Allow-Client-Controls")})
        if FAULTS.get("request") == "die":
            print("libc++abi: terminating", flush=True)
            os.abort()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if FAULTS.get("request") == "error":
            self.say(
                choices=[{"index": 0, "text": "", "finish_reason": "error"}],
                error={"message": "not enough memory", "type": "server_error", "code": "507"},
            )
            self.wfile.write(b"data: [DONE]\n\n")
            return
        mtp = ARGUMENTS.generation_mode == "mtp"
        count = min(asked["max_tokens"], len(WORDS))
        told = rounds(count, ARGUMENTS.depth) if mtp else [(at,) for at in range(count)]
        self.wfile.write(b": keep-alive\n\n")
        for tokens in told:
            text = "".join(WORDS[at] for at in tokens)
            self.say(choices=[{"index": 0, "text": text, "finish_reason": None}])
            time.sleep(0.01)
        ended = asked["max_tokens"] > len(WORDS)
        self.close(asked, count + ended, [len(tokens) for tokens in told] if mtp else [])
        self.wfile.write(b"data: [DONE]\n\n")

    def close(self, asked: dict[str, object], tokens: int, sizes: list[int]) -> None:
        depth = ARGUMENTS.depth
        verified = 0 if not sizes else FAULTS.get("verified", (tokens + 1) // 2)
        accepted = sum(size for size in sizes if size > 1)
        by_depth = [sum(size > max(1, at) for size in sizes) for at in range(depth)]
        self.say(
            choices=[
                {
                    "index": 0,
                    "text": "",
                    "finish_reason": "length" if tokens == asked["max_tokens"] else "stop",
                }
            ],
            usage={
                "prompt_tokens": 12,
                "completion_tokens": tokens,
                "total_tokens": 12 + tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            mtplx_stats={
                "generation_mode": ARGUMENTS.generation_mode,
                "drafted_tokens": verified * depth if sizes else 0,
                "accepted_drafts": accepted,
                "accepted_by_depth": by_depth if sizes else [],
                "verify_calls": verified,
                "mtp_depth": depth if sizes else 0,
                "attempts": 1,
                "effective_temperature": asked["temperature"],
                **FAULTS.get("stats", {}),
            },
            timings={
                "prompt_ms": 20.0,
                "predicted_ms": 100.0,
                "predicted_per_second": tokens * 10.0,
            },
        )

    def say(self, **body: object) -> None:
        event = {"id": "cmpl-1", "object": "text_completion", "model": "fake", **body}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()


def main() -> None:
    told = {name: os.environ.get(name) for name in os.environ if name.startswith("MTPLX_")}
    note({"arguments": sys.argv[1:], "environment": told, "pid": os.getpid()})
    if lines := FAULTS.get("start"):
        print("\n".join(lines), flush=True)
        sys.exit(int(FAULTS.get("status", 1)))
    if lines := FAULTS.get("says"):
        print("\n".join(lines), flush=True)
    if FAULTS.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note({"child": child.pid})
    ThreadingHTTPServer((ARGUMENTS.host, ARGUMENTS.port), Handler).serve_forever()


main()
