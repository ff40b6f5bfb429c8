"""A program that answers like SGLang, TGI or TensorRT-LLM: no model, and nothing measured on it.

`fake_program.py sglang|tgi|tensorrt_llm ARGUMENT...`; `FAKE_PROGRAM` in its environment is a JSON
object of `Faults`. What it answers is what the sources of the three say; none of them was run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HELPS = {
    "sglang": "sglang/help/0.5.23.txt",
    "tgi": "tgi/help/3.3.7.txt",
    "tensorrt_llm": "tensorrt_llm/help/1.3.txt",
}
TAKEN = {
    "sglang": "ERROR:    [Errno 98] error while attempting to bind on address "
    "('127.0.0.1', 1): address already in use\n[2026-10-01 12:00:00] Child processes killed.",
    "tgi": 'Error: Axum(Os { code: 98, kind: AddrInUse, message: "Address already in use" })',
    "tensorrt_llm": "RuntimeError: Failed to bind socket to 127.0.0.1:1: "
    "[Errno 98] Address already in use",
}
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"
WHY = {
    "sglang": "[2026-10-01 12:00:00 TP0] Scheduler hit an exception: Traceback (most recent call "
    f"last):\n  File x\nRuntimeError: {OUT_OF_MEMORY}\n[2026-10-01 12:00:01] Received sigquit from "
    "a child process. It usually means the child failed.",
    "tgi": "2025-12-01T12:00:00.1Z ERROR shard-manager: text_generation_launcher: Shard complete "
    f"standard error output:\n\nTraceback (most recent call last):\nRuntimeError: {OUT_OF_MEMORY}\n"
    "2025-12-01T12:00:00.2Z ERROR text_generation_launcher: Shard 0 failed to start\n"
    "Error: ShardCannotStart",
    "tensorrt_llm": "[TRT-LLM] [I] Using LLM with PyTorch backend\nTraceback (most recent call "
    f"last):\n  File x\nRuntimeError: {OUT_OF_MEMORY}\n\nThe above exception was the direct cause "
    f"of the following exception:\n\nRuntimeError: Executor worker returned error",
}


@dataclass(frozen=True)
class Faults:
    ports_taken: int = 0
    """Of the first starts."""
    note: str = ""
    """File that counts the starts."""
    fails: bool = False
    """It ends before it is up, with the reason in its log."""
    never_ready: bool = False
    killed_after: int = 0
    """Chunks of a long answer, after which it tells why and ends; 0: never."""
    step_s: float = 0.0
    """Of a step of an answer of more than 100 tokens."""
    ignores: bool = False
    """It runs without speculation, whatever it was told."""
    length: int = 0
    """Draft tokens that it makes, whatever it was told; 0: as it was told."""
    child: bool = False
    """It has a worker in a process group of its own."""


def main() -> None:
    faults = Faults(**json.loads(os.environ.get("FAKE_PROGRAM", "{}")))
    kind, *words = sys.argv[1:]
    if "--help" in words:
        print((Path(__file__).parent.parent / HELPS[kind]).read_text())
    elif words == ["--version"]:
        print("text-generation-launcher 0.0.0")
    else:
        Program(kind, words, faults).serve()


def log(text: str) -> None:
    """TGI's launcher and TensorRT-LLM log to standard output."""
    print(text, flush=True)


class Program:
    def __init__(self, kind: str, words: list[str], faults: Faults) -> None:
        self.kind = kind
        self.faults = faults
        self._words = words
        self.name = self._name()
        self.told = self._told()
        """Draft tokens that it was told."""
        self.length = 0 if faults.ignores else faults.length or self.told
        self.counts = {"drafted": 0, "accepted": 0, "steps": 0, "tokens": 0}

    def value(self, flag: str) -> str:
        return self._words[self._words.index(flag) + 1] if flag in self._words else ""

    def _name(self) -> str:
        names = {"sglang": "--served-model-name", "tgi": "--model-id"}
        return self.value(names.get(self.kind, "--served_model_name"))

    def _told(self) -> int:
        if self.kind == "sglang":
            return int(self.value("--speculative-num-draft-tokens") or 1) - 1
        if self.kind == "tgi":
            return int(self.value("--speculate") or 0)
        config = json.loads(Path(self.value("--config")).read_text())
        return int(config.get("speculative_config", {}).get("max_draft_len", 0))

    def serve(self) -> None:
        faults, started = self.faults, 0
        if faults.note:
            note = Path(faults.note)
            started = len(note.read_text()) if note.exists() else 0
            note.write_text("x" * (started + 1))
        if self.kind == "tgi":
            told = f"Some(\n        {self.length},\n    )" if self.length else "None"
            log(f"INFO text_generation_launcher: Args {{\n    speculate: {told},\n}}")
            Path(self.value("--shard-uds-path") + "-0").touch()
        if started < faults.ports_taken:
            log(TAKEN[self.kind])
            sys.exit(1)
        if faults.fails:
            log(WHY[self.kind])
            sys.exit(1)
        if faults.child:
            sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
            subprocess.Popen(sleep, process_group=0)
        if faults.never_ready:
            log("loading, loading")
            time.sleep(600)
        Handler.program = self
        port = int(self.value("--port"))
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Handler(BaseHTTPRequestHandler):
    program: ClassVar[Program]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        program, kind = self.program, self.program.kind
        if self.path == "/health":
            self._answer(b"")
        elif self.path == "/v1/models":
            self._say({"object": "list", "data": [{"id": program.name, "object": "model"}]})
        elif (kind, self.path) == ("sglang", "/server_info"):
            algorithm = program.value("--speculative-algorithm").replace("NEXTN", "EAGLE")
            on = program.length > 0
            self._say(
                {
                    "version": "0.0.0",
                    "speculative_algorithm": algorithm if on else None,
                    "speculative_num_draft_tokens": program.length + 1 if on else None,
                }
            )
        elif (kind, self.path) == ("tgi", "/info"):
            self._say({"model_id": program.name, "version": "0.0.0", "max_concurrent_requests": 1})
        elif (kind, self.path) in (("tgi", "/metrics"), ("tensorrt_llm", "/prometheus/metrics")):
            self._answer(self._metrics().encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        program, limit = self.program, asked["max_tokens"]
        written = steps = 0
        while written < limit:
            # The first token comes with the prefill; of each draft one token is accepted.
            more = 2 if program.length and steps else 1
            more = min(more, limit - written)
            written, steps = written + more, steps + 1
            for key, count in (("steps", 1), ("tokens", more), ("accepted", more - 1)):
                program.counts[key] += count
            program.counts["drafted"] += program.length if steps > 1 else 0
            end = "length" if written == limit else None
            delta = {"role": "assistant", "content": "x" * more}
            self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
            if limit > 100:
                time.sleep(program.faults.step_s)
            if limit > 20 and steps == program.faults.killed_after:
                log(WHY[program.kind])
                threading.Timer(0.1, os._exit, [1]).start()
                time.sleep(60)
        last: dict[str, Any] = {
            "choices": [],
            "usage": {"prompt_tokens": 3, "completion_tokens": written},
        }
        if asked.get("return_spec_tokens_details") and program.length:
            last["sglext"] = {
                "spec_tokens_details": {
                    "spec_num_correct_drafts": written - steps,
                    "spec_num_proposed_drafts": program.length * (steps - 1),
                    "spec_verify_ct": steps - 1,
                }
            }
        self._event(last)
        self.wfile.write(b"data: [DONE]\n\n")

    def _metrics(self) -> str:
        counts, length = self.program.counts, self.program.length
        if self.program.kind == "tgi":
            return (
                "# TYPE tgi_request_skipped_tokens histogram\n"
                f'tgi_request_skipped_tokens_bucket{{le="+Inf"}} {counts["steps"]}\n'
                f"tgi_request_skipped_tokens_sum {counts['accepted']}\n"
                f"tgi_request_skipped_tokens_count {counts['steps']}\n"
                "# TYPE tgi_request_generated_tokens histogram\n"
                f'tgi_request_generated_tokens_bucket{{le="+Inf"}} 1\n'
                f"tgi_request_generated_tokens_sum {counts['tokens']}\n"
                "tgi_request_generated_tokens_count 1\n"
            )
        lines = ["# TYPE trtllm_request_success_total counter", "trtllm_request_success_total 1"]
        for name in ("draft", "accepted"):
            series = f"trtllm_spec_decode_num_{name}_tokens"
            count = counts["drafted" if name == "draft" else name]
            lines += [f"# TYPE {series}_total counter", f'{series}_total{{model="m"}} {count}.0']
        if length and not self.program.faults.length:
            lines += [
                "# TYPE trtllm_speculative_config_info gauge",
                f'trtllm_speculative_config_info{{spec_num_tokens="{length}"}} 1.0',
            ]
        elif length:
            lines.append(f'trtllm_speculative_config_info{{spec_num_tokens="{length}"}} 1.0')
        return "\n".join([*lines, ""])

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())
        self.wfile.flush()

    def _say(self, body: dict[str, Any]) -> None:
        self._answer(json.dumps(body).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    main()
