"""A program that answers like vLLM's server, for its faults: no model, and nothing measured on it.

`FAKE_VLLM` in its environment is a JSON object of `Faults`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HELP = """usage: vllm serve [model_tag] [options]

options:
  --model MODEL         Model.
  --max-model-len MAX_MODEL_LEN
                        Context.
  --served-model-name SERVED_MODEL_NAME [SERVED_MODEL_NAME ...]
                        Names.
  --host HOST           Host.
  --port PORT           Port.
  --enable-prefix-caching, --no-enable-prefix-caching
                        Cache.
  --speculative-config SPECULATIVE_CONFIG, -sc SPECULATIVE_CONFIG
                        Speculation.
"""
ISSUE = "EngineCore encountered an issue. See stack trace (above) for the root cause."
TRACE = """(Worker pid=1) ERROR 11-22 13:20:49 [x.py:1063] Traceback (most recent call last):
(Worker pid=1) ERROR 11-22 13:20:49 [x.py:1063] RuntimeError: shape '[-1, 576]' is invalid
(APIServer pid=2) ERROR 11-22 13:20:49 [y.py:906] EngineDeadError: EngineCore encountered an issue.
"""


@dataclass(frozen=True)
class Faults:
    help_status: int = 0
    knows_all: bool = True
    """`--help=all` lists everything; where not, it is an error and `--help` does."""
    ports_taken: int = 0
    """Of the first ports: 'Address already in use'."""
    others_ports: int = 0
    """On the first ports another model is served."""
    note: str = ""
    """File that counts the starts."""
    never_ready: bool = False
    dies_at_request: str = ""
    """'status': HTTP 500, then an end with status 0; 'killed': by SIGKILL, without an answer."""
    killed_after: int = 0
    """Chunks of a long answer, then SIGKILL; 0: never."""
    error_after: int = 0
    """Chunks of a long answer, then an error in the stream."""
    counts_after_s: float = 0.0
    drafts: bool = True
    told: bool = True
    """The response tells of its speculation."""
    told_more: int = 0
    """Accepted tokens that it tells of and the counters do not."""
    chosen: str = ""
    """The method that its log tells; '': the one that was asked for."""
    tokenizes: bool = True
    counts: bool = True
    child: bool = False
    """It has a worker process."""


def main() -> None:
    faults = Faults(**json.loads(os.environ.get("FAKE_VLLM", "{}")))
    words = sys.argv[1:]
    if words == ["--version"]:
        print("INFO 11-22 13:00:00 [x.py:1] no accelerator\n0.0.fake")
    elif words[1:] == ["--help=all"] and not faults.knows_all:
        sys.exit("vllm serve: error: argument -h/--help: ignored explicit argument 'all'")
    elif words[1:] in (["--help=all"], ["--help"]):
        if faults.help_status:
            print("ImportError: libtorch.so: cannot open", file=sys.stderr)
            sys.exit(faults.help_status)
        print(HELP)
    else:
        serve(words, faults)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def serve(words: list[str], faults: Faults) -> None:
    def value(flag: str) -> str | None:
        return words[words.index(flag) + 1] if flag in words else None

    started = 0
    if faults.note:
        note = Path(faults.note)
        started = len(note.read_text()) if note.exists() else 0
        note.write_text("x" * (started + 1))
    if started < faults.ports_taken:
        log("OSError: [Errno 98] Address already in use")
        sys.exit(1)
    if faults.child:
        import subprocess

        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if faults.never_ready:
        log("INFO loading, loading")
        time.sleep(600)
    name = value("--served-model-name") or ""
    config = json.loads(value("--speculative-config") or "{}")
    if config:
        method = faults.chosen or config["method"]
        length = config["num_speculative_tokens"]
        log(
            f"speculative_config=SpeculativeConfig(method='{method}', model='/m', "
            f"num_spec_tokens={length}), tokenizer='/m'"
        )
    Handler.faults = faults
    Handler.name = "another" if started < faults.others_ports else name
    Handler.length = config.get("num_speculative_tokens", 0) if faults.drafts else 0
    Handler.speculates = bool(config)
    ThreadingHTTPServer(("127.0.0.1", int(value("--port") or 0)), Handler).serve_forever()


class Handler(BaseHTTPRequestHandler):
    faults: Faults
    name: str
    length: int
    """Of a draft, of which one token is accepted."""
    speculates: bool
    counts: ClassVar[dict[str, int]] = {"drafted": 0, "accepted": 0, "generated": 0}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(b"")
        elif self.path == "/v1/models":
            self._say({"data": [{"id": self.name}]})
        elif self.path == "/metrics":
            self._answer(self._metrics().encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize" and self.faults.tokenizes:
            self._say({"tokens": [1, 2, 3], "count": 3})
        elif self.path != "/v1/completions":
            self.send_error(404)
        elif self.faults.dies_at_request == "killed":
            os.kill(os.getpid(), 9)
        elif self.faults.dies_at_request == "status":
            log(TRACE)
            self._say({"error": {"message": ISSUE, "code": 500}}, 500)
            threading.Timer(0.2, os._exit, [0]).start()
        elif asked.get("stream"):
            self._stream(asked["max_tokens"])
        else:
            top = {"token_id:5": -0.1, "token_id:4": -0.1, "token_id:9": -7.0}
            self._count("generated", 1)
            self._say({"choices": [{"logprobs": {"top_logprobs": [top]}}]})

    def _stream(self, limit: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        written = chunks = drafted = accepted = steps = 0
        while written < limit:
            # The first token comes with the prefill.
            more = 1 if self.length == 0 or written == 0 else 2
            if more == 2:
                drafted, accepted, steps = drafted + self.length, accepted + 1, steps + 1
            ids = list(range(written, min(limit, written + more)))
            written, chunks = written + len(ids), chunks + 1
            end = "length" if written == limit else None
            choice = {"text": "x" * len(ids), "token_ids": ids, "finish_reason": end}
            self._event({"choices": [choice]})
            if limit > 8 and chunks == self.faults.killed_after:
                os.kill(os.getpid(), 9)
            if limit > 8 and chunks == self.faults.error_after:
                self._event({"error": {"message": "out of blocks", "code": 500}})
                self._count("drafted", drafted)
                self._count("accepted", accepted)
                return
        self._count("drafted", drafted)
        self._count("accepted", accepted)
        self._count("generated", written)
        said: dict[str, Any] = {"generation_time_ms": 10.0}
        if self.speculates and self.faults.told:
            said["speculative_decoding"] = {
                "num_draft_tokens": drafted,
                "num_accepted_draft_tokens": accepted + self.faults.told_more,
                "num_spec_steps": steps,
            }
        usage = {"prompt_tokens": 3, "completion_tokens": written}
        self._event({"choices": [], "usage": usage, "metrics": said})
        self.wfile.write(b"data: [DONE]\n\n")

    def _count(self, what: str, more: int) -> None:
        def later() -> None:
            self.counts[what] += more

        if self.faults.counts_after_s:
            threading.Timer(self.faults.counts_after_s, later).start()
        else:
            later()

    def _metrics(self) -> str:
        labels = '{engine="0",model_name="m"}'
        spec = "vllm:spec_decode_num_"
        series = {"vllm:generation_tokens": self.counts["generated"]}
        if self.faults.counts:
            series |= {
                f"{spec}draft_tokens": self.counts["drafted"],
                f"{spec}accepted_tokens": self.counts["accepted"],
            }
        lines = [
            line
            for name, value in series.items()
            for line in (f"# TYPE {name}_total counter", f"{name}_total{labels} {value}.0")
        ]
        return "\n".join([*lines, ""])

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())
        self.wfile.flush()

    def _say(self, body: dict[str, Any], status: int = 200) -> None:
        self._answer(json.dumps(body).encode(), status)

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    main()
