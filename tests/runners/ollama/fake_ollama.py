"""A program that answers like `ollama`, for what cannot be had of the real one: its faults.

It speaks the documented API. With `llama_server` it runs models as Ollama 0.30 and later do: it
starts that real program as its child, logs the command line, and passes on what it generates.
Without, it invents its answers, and nothing is measured on them.

`FAKE_OLLAMA` in its environment is a JSON object of `Faults`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class Faults:
    version: str = "0.33.0"
    llama_server: str = ""
    """The real program that models run in; '': answers are invented."""
    note: str = ""
    """A file that gets a line of JSON for each request."""
    ports_taken: str = ""
    """A file that counts the starts: the first one finds its port taken."""
    serve_fails: bool = False
    never_ready: bool = False
    create_error: str = ""
    load_error: str = ""
    refuses_heads: bool = False
    """It finds no MTP heads in any model."""
    renders: bool = False
    """Ollama writes the prompts of this model: its child has no template of the model's."""
    tells_cached: bool = True
    tells_count: bool = True
    cached: int = 0
    dies_after: int = 0
    """Lines of a long answer, then the whole program is killed; 0: never."""
    child_dies_after: int = 0
    """Lines of a long answer, then its llama-server is killed."""
    hangs_after: int = 0
    repeats_after: int = 0
    """Lines of a long answer, then the error of an answer that repeats itself."""
    ends_after: int = 0
    """Lines of a long answer, then the stream ends."""
    status: int = 0
    """Of every long answer."""
    chunk_tokens: int = 1
    """Tokens in a line of an invented answer."""
    leaves_a_child: bool = False


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def info(message: str, **values: str) -> None:
    rest = "".join(f" {key}={json.dumps(value)}" for key, value in values.items())
    log(f'time=2026-11-22T10:00:00.000Z level=INFO source=x.go:1 msg="{message}"{rest}')


def main() -> None:
    faults = Faults(**json.loads(os.environ.get("FAKE_OLLAMA", "{}")))
    if sys.argv[1:] == ["--version"]:
        print("Warning: could not connect to a running Ollama instance")
        print(f"Warning: client version is {faults.version}")
    elif sys.argv[1:] == ["serve"]:
        serve(faults)
    else:
        sys.exit(f'Error: unknown command "{sys.argv[1]}" for "ollama"')


def serve(faults: Faults) -> None:
    host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
    if faults.ports_taken and not Path(faults.ports_taken).exists():
        Path(faults.ports_taken).touch()
        sys.exit(f"Error: listen tcp {host}:{port}: bind: address already in use")
    if faults.serve_fails:
        sys.exit("Error: mkdir /models: permission denied")
    if faults.leaves_a_child:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if faults.never_ready:
        info("discovering available GPUs...")
        time.sleep(600)
    Handler.faults = faults
    Handler.store = Path(os.environ["OLLAMA_MODELS"])
    httpd = ThreadingHTTPServer((host, int(port)), Handler)
    info(f"Listening on {host}:{port} (version {faults.version})")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=httpd.shutdown).start())
    httpd.serve_forever()
    if Handler.child is not None:
        Handler.child.kill()
        Handler.child.wait()


class Handler(BaseHTTPRequestHandler):
    faults: Faults
    store: Path
    child: ClassVar[subprocess.Popen[bytes] | None] = None
    port: ClassVar[int] = 0
    models: ClassVar[dict[str, dict[str, Any]]] = {}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.send_response(200 if self._blob(self.path.rpartition("/")[2]).exists() else 404)
        self.end_headers()

    def do_GET(self) -> None:
        self._say({"version": self.faults.version})

    def do_DELETE(self) -> None:
        self._note("delete", self._asked())
        self._say({})

    def do_POST(self) -> None:
        if self.path.startswith("/api/blobs/"):
            self._receive(self.path.rpartition("/")[2])
            return
        asked = self._asked()
        self._note(self.path.rpartition("/")[2], asked)
        if self.path == "/api/create":
            self._create(asked)
        elif asked["model"] not in self.models:
            self._say({"error": f"model '{asked['model']}' not found"}, 404)
        elif not asked.get("prompt") and not asked.get("messages"):
            self._load(asked)
        elif self.faults.status and asked["options"]["num_predict"] > 4:
            self._say({"error": "llama-server is unhappy"}, self.faults.status)
        else:
            self._answer(asked)

    # ---- models --------------------------------------------------------------------------------

    def _blob(self, digest: str) -> Path:
        return self.store / "blobs" / digest.replace(":", "-")

    def _receive(self, digest: str) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            self._say({"error": "digest mismatch"}, 400)
            return
        self._blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self._blob(digest).write_bytes(data)
        self._say({}, 201)

    def _create(self, asked: dict[str, Any]) -> None:
        named = [*asked["files"].values(), *asked.get("draft_files", {}).values()]
        if self.faults.create_error:
            self._say({"error": self.faults.create_error}, 400)
        elif missing := [digest for digest in named if not self._blob(digest).is_file()]:
            self._say({"error": f"blob not found ({missing[0]})"}, 400)
        else:
            self.models[asked["model"]] = asked
            self._say({"status": "success"})

    def _load(self, asked: dict[str, Any]) -> None:
        if asked.get("keep_alive") == 0:
            self._say({"done": True, "done_reason": "unload"})
        elif self.faults.load_error:
            self._say({"error": self.faults.load_error}, 500)
        else:
            if self.faults.llama_server:
                self._start_child(self.models[asked["model"]])
            self._say({"done": True, "done_reason": "load"})

    def _start_child(self, made: dict[str, Any]) -> None:
        model = self._blob(next(iter(made["files"].values())))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            Handler.port = probe.getsockname()[1]
        options = made["parameters"]
        parallel = os.environ.get("OLLAMA_NUM_PARALLEL", "1")
        context = options["num_ctx"] * int(parallel)
        argv = [self.faults.llama_server, "--model", str(model), "--port", str(self.port)]
        argv += ["--host", "127.0.0.1", "--no-webui", "--offline", "-c", str(context)]
        argv += ["-np", parallel, "--log-verbosity", "4", "--no-log-prefix", "--no-log-timestamps"]
        if self.faults.renders:
            argv += ["--no-jinja", "--chat-template", "chatml"]
        with model.open("rb") as file:
            heads = b"nextn_predict_layers" in file.read(1 << 20) and not self.faults.refuses_heads
        if heads and options.get("draft_num_predict", 0) > 0:
            argv += ["--spec-type", "draft-mtp"]
            argv += ["--spec-draft-n-max", str(options["draft_num_predict"])]
            argv += ["--spec-draft-backend-sampling"]
        argv += ["--flash-attn", "auto", "-b", "512", "-ub", "512"]
        if options.get("num_thread"):
            argv += ["-t", str(options["num_thread"])]
        info("starting llama-server", cmd=" ".join(argv))
        Handler.child = subprocess.Popen(argv, stdout=sys.stderr, stderr=sys.stderr)
        while True:
            try:
                if self._ask_child("GET", "/health").status == 200:
                    return
            except OSError:
                time.sleep(0.05)

    # ---- answers -------------------------------------------------------------------------------

    def _answer(self, asked: dict[str, Any]) -> None:
        chat = self.path == "/api/chat"
        faults, long = self.faults, asked["options"]["num_predict"] > 4
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        made = self._generated(asked) if faults.llama_server else self._invented(asked)
        count = 0
        for count, line in enumerate(made, 1):
            text = line.pop("text")
            part = (
                {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
            )
            self._line({"model": asked["model"], **part, **line})
            if not long:
                continue
            if count == faults.dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if count == faults.hangs_after:
                time.sleep(600)
            if count == faults.ends_after:
                return
            if count == faults.repeats_after:
                self._line({"error": "prediction aborted, token repeat limit reached"})
                return
            if count == faults.child_dies_after:
                if self.child is not None:
                    self.child.kill()
                words = "an error was encountered while running the model: unexpected EOF"
                self._line({"error": words})
                return

    def _invented(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        wanted, size = asked["options"]["num_predict"], self.faults.chunk_tokens
        for at in range(0, wanted, size):
            time.sleep(0.002)
            yield {"text": "word " * min(size, wanted - at), "done": False}
        yield {"text": "", "done": True, "done_reason": "length", **self._metrics(wanted, 7, 1, 1)}

    def _metrics(self, made: int, prompt: int, prompt_ms: float, ms: float) -> dict[str, Any]:
        told: dict[str, Any] = {
            "total_duration": 1,
            "prompt_eval_count": prompt,
            "prompt_eval_duration": int(prompt_ms * 1e6),
            "eval_duration": int(ms * 1e6),
        }
        if self.faults.tells_count:
            told["eval_count"] = made
        if self.faults.tells_cached:
            told["prompt_eval_cached_count"] = self.faults.cached
        return told

    def _generated(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """As Ollama does it: a line for each event of llama-server that has text."""
        options = asked["options"]
        if "messages" in asked:  # Ollama has templates of its own, which nothing here looks at.
            templated = self._ask_child("POST", "/apply-template", {"messages": asked["messages"]})
            prompt = json.loads(templated.read())["prompt"]
        else:
            prompt = asked["prompt"]
        body = {
            "prompt": prompt,
            "stream": True,
            "cache_prompt": True,
            "n_predict": options["num_predict"],
            "temperature": options["temperature"],
            "seed": options["seed"],
            "stop": options.get("stop", []),
            "repeat_penalty": options["repeat_penalty"],
        }
        for raw in self._ask_child("POST", "/completion", body):
            if not raw.startswith(b"data: "):
                continue
            event = json.loads(raw.removeprefix(b"data: "))
            if not event["stop"]:
                if event["content"]:
                    yield {"text": event["content"], "done": False}
                continue
            timings = event["timings"]
            told = self._metrics(
                timings["predicted_n"],
                timings["cache_n"] + timings["prompt_n"],
                timings["prompt_ms"],
                timings["predicted_ms"],
            )
            if self.faults.tells_cached:
                told["prompt_eval_cached_count"] = timings["cache_n"]
            reason = "length" if event["stop_type"] == "limit" else "stop"
            yield {"text": event["content"], "done": True, "done_reason": reason, **told}

    def _ask_child(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, body=data, headers={"Content-Type": "application/json"})
        return connection.getresponse()

    # ---- the wire ------------------------------------------------------------------------------

    def _asked(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return read

    def _note(self, what: str, asked: dict[str, Any]) -> None:
        if self.faults.note:
            with Path(self.faults.note).open("a") as note:
                note.write(json.dumps({"what": what, **asked}) + "\n")

    def _line(self, body: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(body).encode() + b"\n")
        self.wfile.flush()

    def _say(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    main()
